"""A whole answer from the chunks of a stream, and the other way round.

Chunks have passed `ChunkReader`: choices are objects with a small index, and tool calls have an index of their own.
"""

from __future__ import annotations

from typing import Any

_LOGPROBS = ("content", "refusal", "tokens", "token_logprobs", "top_logprobs", "text_offset")


class _Fields:
    """Fields that come in pieces: texts and lists are joined, of other values the last one stands."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}  # joined once, at the end: else each token would copy the answer
        self._others: dict[str, Any] = {}

    def add(self, fields: dict[str, Any], whole: tuple[str, ...] = ()) -> None:
        """`whole`: names of texts that aren't joined; the last one stands."""
        for name, value in fields.items():
            if value is None:
                self._others.setdefault(name, None)
            elif type(value) is str and name not in whole:
                self._texts.setdefault(name, []).append(value)
            elif type(value) is list and type(self._others.get(name)) is list:
                self._others[name].extend(value)
            else:
                self._others[name] = value

    def value(self) -> dict[str, Any]:
        """All fields."""
        return {**self._others, **{name: "".join(parts) for name, parts in self._texts.items()}}


class _Call:
    """One tool call."""

    def __init__(self) -> None:
        self._fields, self._function = _Fields(), _Fields()

    def add(self, delta: dict[str, Any]) -> None:
        function = delta.get("function")
        if type(function) is dict:
            self._function.add(function, ("name",))
        self._fields.add(
            {name: value for name, value in delta.items() if name not in ("index", "function")}, ("id", "type")
        )

    def value(self) -> dict[str, Any]:
        function = self._function.value()
        return {**self._fields.value(), **({"function": function} if function else {})}


class _Choice:
    """One choice of a chat or of a text completion."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._fields, self._message, self._call, self._logprobs = _Fields(), _Fields(), _Fields(), _Fields()
        self._calls: dict[Any, _Call] = {}
        self._chat = False

    def add(self, choice: dict[str, Any]) -> None:
        apart = ("index", "delta", "logprobs")
        self._fields.add(
            {name: value for name, value in choice.items() if name not in apart}, ("finish_reason", "stop_reason")
        )
        if type(choice.get("logprobs")) is dict:
            self._logprobs.add({name: value for name, value in choice["logprobs"].items() if name in _LOGPROBS})
        delta = choice.get("delta")
        if type(delta) is not dict:
            return
        self._chat = True
        parted = ("tool_calls", "function_call")
        self._message.add({name: value for name, value in delta.items() if name not in parted}, ("role",))
        if type(delta.get("function_call")) is dict:
            self._call.add(delta["function_call"], ("name",))
        calls = delta.get("tool_calls")
        for call in calls if type(calls) is list else ():
            if type(call) is dict:
                self._calls.setdefault(call.get("index"), _Call()).add(call)

    def value(self) -> dict[str, Any]:
        choice = {"index": self._index, **self._fields.value(), "logprobs": self._logprobs.value() or None}
        if self._chat:
            message = choice["message"] = {"content": None, **self._message.value()}
            call = self._call.value()
            if self._calls:
                message["tool_calls"] = [call.value() for call in self._calls.values()]
            if call:
                message["function_call"] = call
            if (self._calls or call) and not message["content"]:
                message["content"] = None  # OpenAI's whole answers that only call tools have none
        return choice


class WholeBuilder:
    """Takes a stream's chunks in, and gives the answer as it would have come in one piece."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}

    def add(self, chunk: dict[str, Any]) -> None:
        """One chunk, as `ChunkReader` hands it out."""
        for name, value in chunk.items():
            if name not in ("choices", "object") and value is not None:
                if name == "usage":
                    self._head[name] = value  # some servers count as they go: the last one is the answer's
                else:
                    self._head.setdefault(name, value)
        for choice in chunk.get("choices") or ():
            self._choices.setdefault(choice["index"], _Choice(choice["index"])).add(choice)

    def body(self) -> dict[str, Any]:
        """The whole answer; `complete_body` adds what every answer must have."""
        return {**self._head, "choices": [self._choices[index].value() for index in sorted(self._choices)]}


def as_chunk(body: dict[str, Any]) -> dict[str, Any]:
    """A whole answer as the only chunk of a stream, for servers that answer so though a stream was asked for."""
    choices = []
    for place, choice in enumerate(body["choices"]):
        if type(choice) is not dict:
            continue
        fields = {"index": place, "finish_reason": "stop", **choice}
        message = fields.pop("message", None)
        if type(message) is dict:
            fields["delta"] = message
        choices.append(fields)
    kind = body.get("object")
    return {**body, "object": "chat.completion.chunk" if kind == "chat.completion" else kind, "choices": choices}
