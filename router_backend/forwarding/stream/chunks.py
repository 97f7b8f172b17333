"""Reads OpenAI's stream chunks on their way through: usage, finish reasons, errors; and puts the arm's name in."""

from __future__ import annotations

from time import time
from typing import Any

from router_backend.core.jsonio import dump
from router_backend.forwarding.failure import error_answer, unusable
from router_backend.forwarding.progress import Progress
from router_backend.forwarding.stream.schema import complete_body, complete_choice, complete_usage, new_id
from router_backend.forwarding.stream.sse import DONE
from router_backend.forwarding.stream.toolcalls import ToolCallIndices, TooManyCalls
from router_backend.forwarding.stream.values import finish_reason, identifier, parse, read_usage, revision_of, timestamp

MAX_CHOICES = 1024
"""Of one answer; OpenAI's own limit is 128."""
_NO_USAGE = b',"usage":null'


class ChunkReader:
    """One stream's chunks. Bytes are kept as they came wherever possible; each chunk is parsed once.
    Types are compared without a call, as in `schema`: every chunk passes through here.

    `done`: [DONE] was seen. `complete`: every choice that began has its finish reason. `content`: chunks that carried
    something for the reader (text, tool calls, thinking), which is the estimate of tokens when a stream is left early.
    What can't be kept safely (values.py) is put right in the chunk as well, so that the client and the records agree.
    """

    __slots__ = (
        "_arm",
        "_began",
        "_created",
        "_id",
        "_model",
        "_open",
        "_progress",
        "_tools",
        "_usage_asked",
        "complete",
        "content",
        "done",
        "written",
    )

    def __init__(self, progress: Progress, usage_asked: bool) -> None:
        self._arm = progress.arm
        self._model = b'"model":' + dump(progress.arm)
        self._progress = progress
        self._usage_asked = usage_asked
        self._began = False  # a choice was seen
        self._created: object = None
        self._id = ""  # the last one that can name an answer
        self._open: set[int] = set()
        self._tools = ToolCallIndices()
        self.complete = False
        self.done = False
        self.content = 0
        self.written = 0  # bytes of text in them

    def take(self, data: bytes) -> bytes | None:
        """The chunk's JSON as the client gets it, or None if it isn't for the client.

        Raises:
            Failure: not a chunk, or an error object.
        """
        if data == DONE:
            if not self._began:
                raise unusable(self._arm, "a stream without any choice")
            self.done = True
            return None
        chunk, exact = _load(self._arm, data, "a stream event")
        if chunk.get("error") or chunk.get("object") == "error":
            raise error_answer(self._arm, chunk)
        usage, choices = chunk.get("usage"), chunk.get("choices", ())
        changed = not exact or b"\n" in data  # data of several lines would break our own frame
        if choices is None:
            choices = chunk["choices"] = []
            changed = True
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
        read = read_usage(usage)
        if read:
            self._progress.usage = read
            self._progress.usage_known = True
        return complete_usage(usage)

    def _read_choices(self, choices: Any) -> bool:
        if type(choices) is not list and choices != ():
            raise unusable(self._arm, "choices is no list")
        if len(choices) > MAX_CHOICES:
            raise unusable(self._arm, f"more than {MAX_CHOICES} choices")
        changed = False
        for choice in choices:
            if type(choice) is not dict:
                raise unusable(self._arm, "a choice is no object")
            index = choice.get("index")
            if index is None:
                index = choice["index"] = 0
                changed = True
            if type(index) is not int or not 0 <= index < MAX_CHOICES:
                raise unusable(self._arm, f"the index of a choice is no number below {MAX_CHOICES}")
            self._began = True
            changed |= complete_choice(choice) | self._read_content(index, choice)
            changed |= self._follow(index, choice)
        return changed

    def _read_content(self, index: int, choice: dict[str, Any]) -> bool:
        delta = choice.get("delta")
        if type(delta) is not dict:
            self.content += bool(choice.get("text"))
            self._count(choice.get("text"))
            return False
        calls = delta.get("tool_calls")
        try:
            changed = self._tools.repair(index, calls) if calls else False
        except TooManyCalls as error:
            raise unusable(self._arm, str(error)) from error
        found = 0
        for key, value in delta.items():
            if value and key != "role":
                found = 1
                self._count(value)
        self.content += found
        return changed

    def _count(self, value: Any) -> None:
        if type(value) is str:
            self.written += len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
        elif type(value) is list:  # calls of tools
            for call in value:
                function = call.get("function") if type(call) is dict else None
                if type(function) is dict:
                    self._count(function.get("arguments"))

    def _follow(self, index: int, choice: dict[str, Any]) -> bool:
        theirs = choice["finish_reason"]
        if theirs is None:
            if index not in self._open:
                self._open.add(index)
                self.complete = False
            return False
        choice["finish_reason"] = reason = finish_reason(theirs)
        if reason:
            self._progress.finish_reason = reason
            self._open.discard(index)
            self.complete = not self._open
        return bool(reason != theirs)

    def _unify(self, chunk: dict[str, Any]) -> bool:
        """All chunks of an answer have one time (OpenAI's API reference; llama.cpp gives each its own), and no null where
        the schema has none."""
        changed = False
        created = chunk.get("created")
        if self._created is None and created is not None:
            self._progress.revision = revision_of(chunk)
            self._created = created if timestamp(created) else int(time())
        if created != self._created:
            chunk["created"] = self._created
            changed = True
        if "id" in chunk and chunk["id"] != self._id:
            if identifier(chunk["id"]):
                self._id = chunk["id"]
            else:
                self._id = self._id or new_id()
                chunk["id"] = self._id
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


def _load(arm: str, data: bytes, what: str) -> tuple[dict[str, Any], bool]:
    try:
        value, exact = parse(data)
    except ValueError:
        value, exact = None, False
    if not isinstance(value, dict):
        raise unusable(arm, f"{what} that is not a JSON object")
    return value, exact


def read_body(data: bytes, progress: Progress, endpoint: str) -> bytes:
    """The whole JSON body as the client gets it; usage and finish reason go into `progress`.

    Raises:
        Failure: not JSON, not an answer, or an error object.
    """
    body, exact = _load(progress.arm, data, "a body")
    if body.get("error") or body.get("object") == "error":
        raise error_answer(progress.arm, body)
    name = "data" if endpoint == "embeddings" else "choices"
    items = body.get(name)
    if type(items) is not list or not items or type(items[0]) is not dict:
        raise unusable(progress.arm, f"the body has no {name}")
    if len(items) > MAX_CHOICES and endpoint != "embeddings":
        raise unusable(progress.arm, f"more than {MAX_CHOICES} choices")
    usage = body.get("usage")
    read = read_usage(usage) if type(usage) is dict else None
    if read:
        progress.usage = read
        progress.usage_known = True
    changed = endpoint != "embeddings" and complete_body(body, endpoint)
    if endpoint != "embeddings":
        progress.finish_reason = items[0]["finish_reason"]
    progress.revision = revision_of(body)
    if body.get("model") == progress.arm and exact and not changed:
        return data
    body["model"] = progress.arm
    return _dump(progress.arm, body)


def _dump(arm: str, value: Any) -> bytes:
    try:
        return dump(value)
    except RecursionError as error:
        raise unusable(arm, "JSON that is nested too deeply") from error
