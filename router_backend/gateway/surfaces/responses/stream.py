"""Chunks as Responses events (https://platform.openai.com/docs/api-reference/responses-streaming)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from router_backend.gateway.surfaces.responses.answer import (
    call_item,
    ended,
    head,
    message_item,
    new_call_id,
    reasoning_item,
    refusal_part,
    text_part,
)
from router_backend.gateway.surfaces.responses.tools import plain_input, tools_by_function
from router_backend.gateway.surfaces.surface import Fields
from router_backend.gateway.surfaces.words import first_choice, reasoning

_TEXTS = {"reasoning_text": "text", "output_text": "text", "refusal": "refusal"}


@dataclass(slots=True)
class _Part:
    """An open part of a message or of reasoning."""

    kind: str
    place: int  # in the item's content
    texts: list[str] = field(default_factory=list)
    logprobs: list[Any] = field(default_factory=list)

    def value(self) -> Fields:
        text = "".join(self.texts)
        if self.kind == "output_text":
            return text_part(text, self.logprobs)
        return refusal_part(text) if self.kind == "refusal" else {"type": "reasoning_text", "text": text}


@dataclass(slots=True)
class _Call:
    """An open tool call."""

    place: int  # in the output
    item: Fields
    arguments: list[str] = field(default_factory=list)


class ResponseEvents:
    """One stream. Text and reasoning are closed when something else begins; tool calls stay open until the end, since
    their pieces may come in turns."""

    def __init__(self, request: Fields, arm: str) -> None:
        self._response = head(arm, request)
        self._tools = tools_by_function(request)
        self._output: list[Fields] = []
        self._part: _Part | None = None  # of the last item, which is no call
        self._calls: dict[Any, _Call] = {}
        self._finish: Any = None
        self._usage: Any = None
        self._sequence = 0

    def begin(self) -> Iterator[Fields]:
        for name in ("created", "in_progress"):
            yield self._event(f"response.{name}", response=self._response)

    def add(self, chunk: Mapping[str, Any]) -> Iterator[Fields]:
        self._usage = chunk.get("usage") or self._usage
        choice = first_choice(chunk)
        delta = choice.get("delta") or {}
        if thought := reasoning(delta):
            yield from self._text("reasoning_text", thought, [])
        if delta.get("content"):
            details = choice.get("logprobs") or {}
            yield from self._text("output_text", delta["content"], details.get("content") or [])
        if delta.get("refusal"):
            yield from self._text("refusal", delta["refusal"], [])
        for call in delta.get("tool_calls") or ():
            yield from self._call(call)
        self._finish = choice.get("finish_reason") or self._finish

    def end(self) -> Iterator[Fields]:
        if not self._output:
            yield from self._text("output_text", "", [])
        yield from self._close()
        for call in self._calls.values():
            yield from self._end_call(call)
        response = ended(self._response, self._output, self._finish, self._usage)
        yield self._event(f"response.{response['status']}", response=response)

    def failed(self, error: Mapping[str, Any]) -> Iterator[Fields]:
        code = "rate_limit_exceeded" if error.get("type") == "rate_limit_error" else "server_error"
        told = {"code": code, "message": str(error.get("message"))}
        response = self._response | {"status": "failed", "error": told, "output": self._output}
        yield self._event("response.failed", response=response)

    def _text(self, kind: str, text: str, logprobs: list[Any]) -> Iterator[Fields]:
        if self._part is None or self._part.kind != kind:
            yield from self._open(kind)
        part = self._part
        assert part is not None
        part.texts.append(text)
        part.logprobs += logprobs
        if text:
            yield self._of_part(part, f"response.{kind}.delta", delta=text, **_logprobs(kind, logprobs))

    def _open(self, kind: str) -> Iterator[Fields]:
        """Begin a part, in an item of its own unless both are parts of a message."""
        goes_on = self._part is not None and "reasoning_text" not in (kind, self._part.kind)
        if goes_on:
            yield from self._close_part()
        else:
            yield from self._close()
            item = reasoning_item("") if kind == "reasoning_text" else message_item([])
            yield from self._begin(item)
        self._part = _Part(kind, len(self._output[-1]["content"]))
        yield self._of_part(self._part, "response.content_part.added", part=self._part.value())

    def _close_part(self) -> Iterator[Fields]:
        part = self._part
        if part is not None:
            value = part.value()
            done = {_TEXTS[part.kind]: value[_TEXTS[part.kind]]}
            yield self._of_part(part, f"response.{part.kind}.done", **done, **_logprobs(part.kind, part.logprobs))
            yield self._of_part(part, "response.content_part.done", part=value)
            self._output[-1]["content"].append(value)

    def _close(self) -> Iterator[Fields]:
        """End the open item that is no call. While one is open, it is the last one."""
        if self._part is not None:
            yield from self._close_part()
            self._part = None
            yield self._done(len(self._output) - 1, self._output[-1])

    def _call(self, delta: Mapping[str, Any]) -> Iterator[Fields]:
        function = delta.get("function") or {}
        place = delta.get("index")
        call = self._calls.get(place)
        if call is None:
            yield from self._close()
            item = call_item(delta.get("id") or new_call_id(), function.get("name") or "", "", self._tools)
            call = self._calls[place] = _Call(len(self._output), item)
            yield from self._begin(item)
        if arguments := function.get("arguments"):
            call.arguments.append(arguments)
            if call.item["type"] == "function_call":  # a custom tool's input is known at the end
                yield self._of_call(call, "response.function_call_arguments.delta", delta=arguments)

    def _end_call(self, call: _Call) -> Iterator[Fields]:
        arguments = "".join(call.arguments)
        if call.item["type"] == "function_call":
            call.item["arguments"] = arguments
            done = {"name": call.item["name"], "arguments": arguments}
            yield self._of_call(call, "response.function_call_arguments.done", **done)
        else:
            call.item["input"] = plain_input(arguments)
            yield self._of_call(call, "response.custom_tool_call_input.delta", delta=call.item["input"])
            yield self._of_call(call, "response.custom_tool_call_input.done", input=call.item["input"])
        yield self._done(call.place, call.item)

    def _begin(self, item: Fields) -> Iterator[Fields]:
        self._output.append(item)
        begun = item | {"status": "in_progress"} | ({"content": []} if "content" in item else {})
        yield self._event("response.output_item.added", output_index=len(self._output) - 1, item=begun)

    def _done(self, place: int, item: Fields) -> Fields:
        return self._event("response.output_item.done", output_index=place, item=item)

    def _of_part(self, open_part: _Part, name: str, **fields: Any) -> Fields:
        item = self._output[-1]["id"]
        return self._event(
            name, item_id=item, output_index=len(self._output) - 1, content_index=open_part.place, **fields
        )

    def _of_call(self, call: _Call, kind: str, /, **fields: Any) -> Fields:
        return self._event(kind, item_id=call.item["id"], output_index=call.place, **fields)

    def _event(self, kind: str, /, **fields: Any) -> Fields:
        self._sequence += 1
        return {"type": kind, "sequence_number": self._sequence - 1, **fields}


def _logprobs(kind: str, logprobs: list[Any]) -> Fields:
    return {"logprobs": logprobs} if kind == "output_text" else {}
