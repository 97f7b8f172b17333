"""Chunks as Messages events (https://docs.anthropic.com/en/docs/build-with-claude/streaming)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from router_backend.gateway.surfaces.messages.answer import ending, message_head, new_call_id, usage
from router_backend.gateway.surfaces.messages.errors import error_object
from router_backend.gateway.surfaces.surface import Fields
from router_backend.gateway.surfaces.words import first_choice, reasoning

_DELTAS = {"thinking": ("thinking_delta", "thinking"), "text": ("text_delta", "text")}


class MessageEvents:
    """One stream. One block of text or thinking is open at a time; tool calls stay open until the end, since their pieces
    may come in turns."""

    def __init__(self, request: Fields, arm: str) -> None:
        self._request, self._arm = request, arm
        self._blocks = 0
        self._open: tuple[str, int] | None = None  # kind and index of the open block that is no call
        self._calls: dict[Any, int] = {}  # block by the call's index in the chunks
        self._choice: Fields = {}  # the last one with a finish reason
        self._usage: Any = None
        self._refused = False

    def begin(self) -> Iterator[Fields]:
        yield {"type": "message_start", "message": message_head(self._arm)}

    def add(self, chunk: Mapping[str, Any]) -> Iterator[Fields]:
        self._usage = chunk.get("usage") or self._usage
        choice = first_choice(chunk)
        delta = choice.get("delta") or {}
        if thought := reasoning(delta):
            yield from self._text("thinking", thought)
        for name in ("content", "refusal"):
            if delta.get(name):
                self._refused |= name == "refusal"
                yield from self._text("text", delta[name])
        for call in delta.get("tool_calls") or ():
            yield from self._call(call)
        if choice.get("finish_reason"):
            self._choice = choice

    def end(self) -> Iterator[Fields]:
        yield from self._close()
        for block in self._calls.values():
            yield {"type": "content_block_stop", "index": block}
        delta = ending(self._choice, self._request, self._refused)
        yield {"type": "message_delta", "delta": delta, "usage": usage(self._usage)}
        yield {"type": "message_stop"}

    def failed(self, error: Mapping[str, Any]) -> Iterator[Fields]:
        yield error_object(str(error.get("message")), 529 if error.get("type") == "overloaded_error" else 502)

    def _text(self, kind: str, text: str) -> Iterator[Fields]:
        if self._open is None or self._open[0] != kind:
            yield from self._close()
            self._open = kind, self._blocks
            empty = {"signature": ""} if kind == "thinking" else {"citations": None}
            yield self._start({"type": kind, kind: "", **empty})
        delta, field = _DELTAS[kind]
        yield {"type": "content_block_delta", "index": self._open[1], "delta": {"type": delta, field: text}}

    def _call(self, call: Mapping[str, Any]) -> Iterator[Fields]:
        function = call.get("function") or {}
        place = call.get("index")
        if place not in self._calls:
            yield from self._close()
            self._calls[place] = self._blocks
            head = {"type": "tool_use", "id": call.get("id") or new_call_id(), "name": function.get("name") or ""}
            yield self._start(head | {"input": {}, "caller": {"type": "direct"}})
        if function.get("arguments"):
            delta = {"type": "input_json_delta", "partial_json": function["arguments"]}
            yield {"type": "content_block_delta", "index": self._calls[place], "delta": delta}

    def _start(self, block: Fields) -> Fields:
        self._blocks += 1
        return {"type": "content_block_start", "index": self._blocks - 1, "content_block": block}

    def _close(self) -> Iterator[Fields]:
        if self._open is not None:
            yield {"type": "content_block_stop", "index": self._open[1]}
            self._open = None
