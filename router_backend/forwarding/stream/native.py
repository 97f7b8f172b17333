"""Answers of upstreams that speak the client's own API: passed on as they are, with the guards that chat's chunks have.

Read are the model's name, usage, errors and the end: Anthropic's Messages and OpenAI's Responses, whose events have a type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from router_backend.core.jsonio import dump, load
from router_backend.core.records import Usage
from router_backend.forwarding.failure import error_answer, unusable
from router_backend.forwarding.progress import Progress
from router_backend.forwarding.stream.sse import DONE
from router_backend.forwarding.stream.values import finish_reason, identifier, parse, revision_of, token_count

_ENDS = ("response.completed", "response.incomplete", "response.failed")
_FINISHES = {
    "max_tokens": "length",
    "max_output_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class NativeReader:
    """One stream's events; see `ChunkReader`, whose fields these are."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._usage: dict[str, Any] = {}
        self.complete = False
        self.done = False
        self.content = 0
        self.written = 0

    def take(self, data: bytes) -> bytes | None:
        """The event's JSON as the client gets it, or None if it isn't for the client.

        Raises:
            Failure: not an event, or an error.
        """
        if data == DONE:
            return None
        event = _object(self._progress.arm, data, "a stream event")
        kind = event.get("type")
        if kind == "error" or kind is None:
            raise error_answer(self._progress.arm, event)
        if not identifier(kind):
            raise unusable(self._progress.arm, "an event whose type is no name")
        for name in ("message", "response"):
            answer = event.get(name)
            if type(answer) is dict:
                self._head(answer)
            elif answer is not None:
                raise unusable(self._progress.arm, f"an event whose {name} is no object")
        self._read(kind, event)
        return dump(event)

    def _head(self, answer: dict[str, Any]) -> None:
        self._progress.revision = self._progress.revision or revision_of(answer)
        answer["model"] = self._progress.arm
        self._count(answer.get("usage"))

    def _read(self, kind: str, event: dict[str, Any]) -> None:
        if kind.endswith("delta") and kind != "message_delta":
            self.content += 1
            delta = event.get("delta")
            texts = delta.values() if type(delta) is dict else (delta,)
            self.written += sum(len(text.encode("utf-8", "replace")) for text in texts if type(text) is str)
        elif kind == "message_delta":
            self._count(event.get("usage"))
            delta = event.get("delta")
            if type(delta) is dict and delta.get("stop_reason"):
                self._end(delta["stop_reason"])
        elif kind == "message_stop":
            self.complete = self.done = True
        elif kind in _ENDS:
            response = event.get("response")
            if type(response) is not dict:
                raise unusable(self._progress.arm, f"{kind} without a response")
            if kind == "response.failed":
                raise error_answer(self._progress.arm, {"error": response.get("error") or {}})
            self._end(_response_end(response))
            self.done = True

    def _end(self, reason: Any) -> None:
        self.complete = True
        self._progress.finish_reason = _finish(reason)

    def _count(self, usage: Any) -> None:
        """A message's usage comes in two parts, of which the later one counts where both say something."""
        if type(usage) is dict:
            self._usage |= {name: value for name, value in usage.items() if value is not None}
            _note(self._progress, self._usage)


class NativeWhole:
    """Puts an answer together from its events; see `WholeBuilder`."""

    def __init__(self, arm: str) -> None:
        self._arm = arm
        self._message: dict[str, Any] = {}
        self._blocks: dict[Any, dict[str, Any]] = {}
        self._json: dict[Any, str] = {}

    def add(self, event: Mapping[str, Any]) -> None:
        """One event, as `NativeReader` hands it out.

        Raises:
            Failure: it doesn't fit to those before.
        """
        try:
            self._add(event["type"], event)
        except (AttributeError, KeyError, TypeError) as error:
            raise unusable(self._arm, f"an event of type {event['type']} that doesn't fit") from error

    def _add(self, kind: str, event: Mapping[str, Any]) -> None:
        if kind == "message_start":
            self._message = dict(event["message"])
        elif kind in _ENDS:
            self._message = dict(event["response"])
        elif kind == "content_block_start":
            self._blocks[event.get("index")] = dict(event["content_block"])
        elif kind == "content_block_delta":
            self._extend(event.get("index"), event["delta"])
        elif kind == "message_delta":
            usage = {name: value for name, value in (event.get("usage") or {}).items() if value is not None}
            self._message |= {**event["delta"], "usage": {**(self._message.get("usage") or {}), **usage}}

    def _extend(self, index: Any, delta: Mapping[str, Any]) -> None:
        block = self._blocks[index]
        for name, value in delta.items():
            if name == "partial_json":
                self._json[index] = self._json.get(index, "") + value
            elif name == "citation":
                block["citations"] = [*(block.get("citations") or []), value]
            elif name == "signature":
                block[name] = value
            elif name != "type":
                block[name] = (block.get(name) or "") + value

    def body(self) -> dict[str, Any]:
        """The whole answer.

        Raises:
            Failure: a tool's input is no JSON.
        """
        try:
            for index, text in self._json.items():
                self._blocks[index]["input"] = load(text.encode()) if text else {}
        except ValueError as error:
            raise unusable(self._arm, "a tool's input that is no JSON") from error
        return {**self._message, "content": list(self._blocks.values())} if self._blocks else self._message


def read_native(data: bytes, progress: Progress) -> bytes:
    """The whole JSON body as the client gets it; usage and finish reason go into `progress`.

    Raises:
        Failure: not an answer, or an error.
    """
    body = _object(progress.arm, data, "a body")
    if body.get("type") == "error" or body.get("error") or body.get("status") == "failed":
        raise error_answer(progress.arm, body)
    if type(body.get("content")) is not list and type(body.get("output")) is not list:
        raise unusable(progress.arm, "the body has neither content nor output")
    _note(progress, body.get("usage"))
    progress.finish_reason = _finish(body.get("stop_reason") or _response_end(body))
    progress.revision = revision_of(body)
    body["model"] = progress.arm
    return dump(body)


def _response_end(response: Mapping[str, Any]) -> Any:
    details = response.get("incomplete_details")
    return details.get("reason") if type(details) is dict else "stop"


def _finish(reason: Any) -> str:
    word = finish_reason(reason) or "stop"
    return _FINISHES.get(word, word)


def _note(progress: Progress, usage: Any) -> None:
    read = _usage(usage) if type(usage) is dict else None
    if read:
        progress.usage, progress.usage_known = read, True


def _usage(usage: dict[str, Any]) -> Usage | None:
    """Anthropic counts the cached part of a prompt apart; OpenAI within."""
    fresh, completion = token_count(usage.get("input_tokens")), token_count(usage.get("output_tokens"))
    if fresh is None or completion is None:
        return None
    read, written = (_number(usage, f"cache_{what}_input_tokens") for what in ("read", "creation"))
    within = usage.get("input_tokens_details")
    details = usage.get("output_tokens_details")
    thought = _number(details, "reasoning_tokens") or _number(details, "thinking_tokens")
    return Usage(
        prompt=fresh + read + written,
        cached=read + _number(within, "cached_tokens"),
        cache_write=written + _number(within, "cache_write_tokens"),
        completion=completion,
        reasoning=thought,
    )


def _number(fields: Any, name: str) -> int:
    return (token_count(fields.get(name)) or 0) if type(fields) is dict else 0


def _object(arm: str, data: bytes, what: str) -> dict[str, Any]:
    try:
        value, _ = parse(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise unusable(arm, f"{what} that is not a JSON object")
    return value
