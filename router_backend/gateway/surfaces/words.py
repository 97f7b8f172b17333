"""What codecs share: refusals that name what can't be translated."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from router_backend.core.records import Usage
from router_backend.forwarding.stream.values import read_usage
from router_backend.gateway.http.errors import ApiError


def refuse(
    param: str, why: str = "has no counterpart in chat completions, which this model's server speaks"
) -> NoReturn:
    """Turn a request away because of one field.

    Raises:
        ApiError: 400, always.
    """
    raise ApiError(400, f"{param!r} {why}", code="unsupported_parameter", param=param)


_SAYING_NOTHING = {
    "allowed_callers": ["direct"],
    "async": False,
    "caller": {"type": "direct"},
    "citations": [],
    "annotations": [],
    "defer_loading": False,
}
"""Values by which newer fields say what holds without them."""


def only(fields: Mapping[str, Any], known: Collection[str], where: str = "") -> None:
    """Refuse fields that are set and not `known`; null is not set, nor is what says nothing."""
    for name, value in fields.items():
        if name not in known and value is not None and value != _SAYING_NOTHING.get(name):
            refuse(f"{where}.{name}" if where else name)


def text(value: Any, param: str) -> str:
    """A field that must be text.

    Raises:
        ApiError: 400, it isn't.
    """
    if not isinstance(value, str):
        raise ApiError(400, f"{param!r} must be text", code="invalid_type", param=param)
    return value


def mapping(value: Any, param: str) -> dict[str, Any]:
    """A field that must be an object.

    Raises:
        ApiError: 400, it isn't.
    """
    if not isinstance(value, dict):
        raise ApiError(400, f"{param!r} must be an object", code="invalid_type", param=param)
    return value


def items(value: Any, param: str) -> list[dict[str, Any]]:
    """A field that must be a list of objects; null is an empty one.

    Raises:
        ApiError: 400, it isn't.
    """
    value = [] if value is None else value
    if not isinstance(value, list):
        raise ApiError(400, f"{param!r} must be a list", code="invalid_type", param=param)
    return [mapping(each, f"{param}[{at}]") for at, each in enumerate(value)]


def first_choice(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The first choice of a chat answer or chunk, empty where there is none."""
    choices = answer.get("choices") or ()
    return next((choice for choice in choices if choice.get("index", 0) == 0), {})


def tokens(usage: Any) -> Usage:
    """A chat answer's usage, zero where it has none."""
    return (read_usage(usage) if isinstance(usage, dict) else None) or Usage()


def reasoning(message: Mapping[str, Any]) -> str:
    """What the model thought, of a message or delta: `reasoning` (vLLM, OpenRouter), or `reasoning_content` (the others)."""
    thought = message.get("reasoning_content") or message.get("reasoning")
    return thought if isinstance(thought, str) else ""
