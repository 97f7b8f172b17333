"""Reads OpenAI's stream chunks on their way through: usage, finish reasons, errors; and puts the arm's name in."""

from __future__ import annotations

from typing import Any

from router_backend.core.jsonio import dump, load
from router_backend.core.records import Usage
from router_backend.forwarding.failure import from_error, unusable
from router_backend.forwarding.progress import Progress
from router_backend.forwarding.stream.schema import complete_body, complete_choice, complete_usage
from router_backend.forwarding.stream.sse import DONE
from router_backend.forwarding.stream.toolcalls import ToolCallIndices

_NO_USAGE = b',"usage":null'


class ChunkReader:
    """One stream's chunks. Bytes are kept as they came wherever possible; each chunk is parsed once.
    Types are compared without a call, as in `schema`: every chunk passes through here.

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
        self._model = b'"model":' + dump(progress.arm)
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
        usage, choices = chunk.get("usage"), chunk.get("choices")
        changed = b"\n" in data  # data of several lines would break our own frame
        if type(usage) is dict:
            changed |= self._read_usage(usage)
        changed |= self._read_choices(choices)
        if not choices and usage is not None and not self._usage_asked:
            return None
        changed |= self._unify(chunk)
        if not changed:
            patched = self._patched(data, chunk)
            if patched is not None:
                return patched
        if not self._usage_asked:
            chunk.pop("usage", None)
        chunk["model"] = self._arm
        return _dump(self._arm, chunk)

    def _read_usage(self, usage: dict[str, Any]) -> bool:
        """Returns whether the parsed chunk was changed; so do the methods below."""
        self._progress.usage = read_usage(usage)
        self._progress.usage_known = True
        return complete_usage(usage)

    def _read_choices(self, choices: Any) -> bool:
        if not isinstance(choices, list | None):
            raise unusable(self._arm, "choices is no list")
        changed = False
        for choice in choices or ():
            if type(choice) is not dict:
                raise unusable(self._arm, "a choice is no object")
            index = choice.get("index") or 0
            if not isinstance(index, int):
                raise unusable(self._arm, "the index of a choice is no number")
            changed |= complete_choice(choice) | self._read_content(index, choice)
            self._follow(index, choice.get("finish_reason"))
        return changed

    def _read_content(self, index: int, choice: dict[str, Any]) -> bool:
        delta = choice.get("delta")
        if type(delta) is not dict:
            self.content += bool(choice.get("text"))
            return False
        calls = delta.get("tool_calls")
        changed = self._tools.repair(index, calls) if calls else False
        for key, value in delta.items():
            if value and key != "role":
                self.content += 1
                break
        return changed

    def _follow(self, index: int, finish_reason: Any) -> None:
        if finish_reason:
            self._progress.finish_reason = str(finish_reason)
            self._open.discard(index)
            self.complete = not self._open
        elif index not in self._open:
            self._open.add(index)
            self.complete = False

    def _unify(self, chunk: dict[str, Any]) -> bool:
        """All chunks of an answer have one time (OpenAI's API reference; llama.cpp gives each its own), and no null where
        the schema has none."""
        changed = False
        if self._created is None:
            self._created = chunk.get("created")
        elif chunk.get("created") != self._created:
            chunk["created"] = self._created
            changed = True
        if chunk.get("system_fingerprint", "") is None:
            del chunk["system_fingerprint"]
            changed = True
        return changed

    def _patched(self, data: bytes, chunk: dict[str, Any]) -> bytes | None:
        """The bytes as they came, but for the arm's name and a usage that nobody asked for; None if they must be rewritten."""
        if "usage" in chunk and not self._usage_asked:
            if chunk["usage"] is not None or data.count(_NO_USAGE) != 1:
                return None
            data = data.replace(_NO_USAGE, b"")
        model = chunk.get("model")
        if model == self._arm:
            return data
        # A quote inside a JSON string is escaped, so the pattern can only be the key itself.
        theirs = b'"model":' + dump(model)
        if data.count(b'"model"') != 1 or theirs not in data:
            return None
        return data.replace(theirs, self._model)


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
