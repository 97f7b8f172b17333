"""What an answer says, whatever API it came in: its text and its calls of tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router_backend.core.jsonio import dump, load
from router_backend.forwarding.stream.native import NativeWhole
from router_backend.forwarding.stream.whole import WholeBuilder

ANSWER_BYTES = 1024 * 1024
"""Of an answer as it is held until it has been read; larger ones aren't."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool."""

    identity: str
    name: str
    arguments: str  # JSON


@dataclass(frozen=True, slots=True)
class Reading:
    """The first choice of an answer. Lives in memory only, and not longer than it is looked at."""

    text: str = ""
    refusal: str = ""  # where the API says it apart
    calls: tuple[ToolCall, ...] = ()


def read_answer(payloads: Sequence[bytes], *, streamed: bool, native: bool) -> Reading:
    """From the JSON that the client got: a whole body, or a stream's chunks or events.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: it isn't what upstreams' answers are checked to be.
    """
    if not streamed:
        body = load(payloads[0])
    else:
        builder = NativeWhole("") if native else WholeBuilder()
        for payload in payloads:
            builder.add(load(payload))
        body = builder.body()
    if not native:
        return _chat(body["choices"][0])
    return _message(body["content"]) if "content" in body else _response(body["output"])


def _chat(choice: Mapping[str, Any]) -> Reading:
    message = choice.get("message")
    if not message:
        return Reading(_text(choice.get("text")))
    calls = [(call.get("id"), call.get("function") or {}) for call in message.get("tool_calls") or ()]
    if message.get("function_call"):
        calls.append(("", message["function_call"]))
    return Reading(
        _text(message.get("content")),
        _text(message.get("refusal")),
        tuple(ToolCall(_text(name), _text(call.get("name")), _text(call.get("arguments"))) for name, call in calls),
    )


def _message(blocks: Sequence[Mapping[str, Any]]) -> Reading:
    """Anthropic's content."""
    from_json = [block for block in blocks if block.get("type") == "tool_use"]
    return Reading(
        "".join(_text(block.get("text")) for block in blocks if block.get("type") == "text"),
        calls=tuple(ToolCall(_text(b.get("id")), _text(b.get("name")), _json(b.get("input"))) for b in from_json),
    )


def _response(items: Sequence[Mapping[str, Any]]) -> Reading:
    """The output of OpenAI's Responses."""
    parts = [part for item in items if item.get("type") == "message" for part in item.get("content") or ()]
    calls = [item for item in items if item.get("type") == "function_call"]
    return Reading(
        "".join(_text(part.get("text")) for part in parts if part.get("type") == "output_text"),
        "".join(_text(part.get("refusal")) for part in parts if part.get("type") == "refusal"),
        tuple(ToolCall(_text(c.get("call_id")), _text(c.get("name")), _text(c.get("arguments"))) for c in calls),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _json(value: Any) -> str:
    return dump(value).decode() if value is not None else ""
