"""Reads OpenAI's stream chunks on their way through: usage, finish reasons, errors; and puts the arm's name in."""

from __future__ import annotations

from typing import Any

import orjson

from router_backend.core.jsonio import dump, load
from router_backend.core.records import Usage
from router_backend.forwarding.failure import from_error, unusable
from router_backend.forwarding.progress import Progress
from router_backend.forwarding.stream.schema import complete_body, complete_choice, complete_usage
from router_backend.forwarding.stream.sse import DONE
from router_backend.forwarding.stream.toolcalls import ToolCallIndices


class ChunkReader:
    """One stream's chunks. Bytes are kept as they came wherever possible; each chunk is parsed once.

    `done`: [DONE] was seen. `complete`: every choice that began has its finish reason. `content`: chunks that carried
    something for the reader (text, tool calls, thinking), which is the estimate of tokens when a stream is left early.
    """

    __slots__ = (
        "_arm",
        "_created",
        "_model",
        "_open",
        "_progress",
        "_tools",
        "_usage_asked",
        "complete",
        "content",
        "done",
    )

    def __init__(self, progress: Progress, usage_asked: bool) -> None:
        self._arm = progress.arm
        self._model = b'"model":' + orjson.dumps(progress.arm)
        self._progress = progress
        self._usage_asked = usage_asked
        self._created: object = None
        self._open: set[int] = set()
        self._tools = ToolCallIndices()
        self.complete = False
        self.done = False
        self.content = 0

    def take(self, data: bytes) -> bytes | None:
        """The chunk's JSON as the client gets it, or None if it isn't for the client.

        Raises:
            Failure: not a chunk, or an error object.
        """
        if data == DONE:
            self.done = True
            return None
        chunk = _load(self._arm, data, "a stream event")
        if chunk.get("error") or chunk.get("object") == "error":
            raise from_error(self._arm, chunk.get("error") or chunk)
        rewritten = b"\n" in data  # data of several lines would break our own frame
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self._progress.usage = read_usage(usage)
            self._progress.usage_known = True
            rewritten |= complete_usage(usage)
        if chunk.get("system_fingerprint", "") is None:
            del chunk["system_fingerprint"]
            rewritten = True
        choices = chunk.get("choices", [])
        if not isinstance(choices, list | None):
            raise unusable(self._arm, "choices is no list")
        if choices:
            rewritten |= self._choices(choices)
        elif usage is not None and not self._usage_asked:
            return None
        if "usage" in chunk and not self._usage_asked:
            del chunk["usage"]
            if usage is None and not rewritten and data.count(b',"usage":null') == 1:
                data = data.replace(b',"usage":null', b"")
            else:
                rewritten = True
        if self._created is None:
            self._created = chunk.get("created")
        elif chunk.get("created") != self._created:
            # All chunks of an answer have one time (OpenAI's API reference); llama.cpp gives each its own.
            chunk["created"] = self._created
            rewritten = True
        model = chunk.get("model")
        if model != self._arm:
            chunk["model"] = self._arm
            if not rewritten:
                # A quote inside a JSON string is escaped, so the pattern can only be the key itself.
                theirs = b'"model":' + orjson.dumps(model)
                if data.count(b'"model"') == 1 and theirs in data:
                    return data.replace(theirs, self._model)
                rewritten = True
        return _dump(self._arm, chunk) if rewritten else data

    def _choices(self, choices: list[Any]) -> bool:
        """Returns whether the parsed chunk was changed."""
        changed = False
        for choice in choices:
            if not isinstance(choice, dict):
                raise unusable(self._arm, "a choice is no object")
            index = choice.get("index") or 0
            if not isinstance(index, int):
                raise unusable(self._arm, "the index of a choice is no number")
            changed |= complete_choice(choice)
            delta = choice.get("delta")
            if isinstance(delta, dict):
                if delta.get("tool_calls"):
                    changed |= self._tools.repair(index, delta["tool_calls"])
                said = False
                for key, value in delta.items():
                    if value and key != "role":
                        said = True
                self.content += said
            elif choice.get("text"):
                self.content += 1
            reason = choice.get("finish_reason")
            if reason:
                self._progress.finish_reason = str(reason)
                self._open.discard(index)
                self.complete = not self._open
            elif index not in self._open:
                self._open.add(index)
                self.complete = False
        return changed


def _load(arm: str, data: bytes, what: str) -> dict[str, Any]:
    try:
        value = load(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise unusable(arm, f"{what} that is not a JSON object")
    return value


def read_usage(usage: dict[str, Any]) -> Usage:
    """Usage of chat completions, completions and embeddings; a missing or null detail counts as 0."""
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    prompt = prompt if isinstance(prompt, dict) else {}
    completion = completion if isinstance(completion, dict) else {}
    reasoning = completion.get("reasoning_tokens") or usage.get("reasoning_tokens")
    return Usage(
        prompt=_count(usage.get("prompt_tokens")),
        cached=_count(prompt.get("cached_tokens")),
        completion=_count(usage.get("completion_tokens")),
        reasoning=_count(reasoning),
    )


def read_body(data: bytes, progress: Progress, endpoint: str) -> bytes:
    """The whole JSON body as the client gets it; usage and finish reason go into `progress`.

    Raises:
        Failure: not JSON, not an answer, or an error object.
    """
    body = _load(progress.arm, data, "a body")
    if body.get("error") or body.get("object") == "error":
        raise from_error(progress.arm, body.get("error") or body)
    items = body.get("data" if endpoint == "embeddings" else "choices")
    if not isinstance(items, list):
        raise unusable(progress.arm, "the body has no list of " + ("data" if endpoint == "embeddings" else "choices"))
    if isinstance(body.get("usage"), dict):
        progress.usage = read_usage(body["usage"])
        progress.usage_known = True
    if endpoint != "embeddings" and items and isinstance(items[0], dict):
        progress.finish_reason = str(items[0].get("finish_reason") or "")
    changed = endpoint != "embeddings" and complete_body(body)
    if body.get("model") == progress.arm and not changed:
        return data
    body["model"] = progress.arm
    return _dump(progress.arm, body)


def _dump(arm: str, value: Any) -> bytes:
    try:
        return dump(value)
    except RecursionError as error:
        raise unusable(arm, "JSON that is nested too deeply") from error


def _count(value: Any) -> int:
    return max(0, value) if isinstance(value, int) else 0
