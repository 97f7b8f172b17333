"""Custom tools, whose input is text: for chat models each is a function with this text as its only argument."""

from __future__ import annotations

from typing import Any

from router_backend.core.jsonio import dump, load
from router_backend.gateway.surfaces.words import mapping, only, refuse, text

_PARAMETERS = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "the tool's input, as it is"}},
    "required": ["input"],
    "additionalProperties": False,
}


def wrapped(tool: dict[str, Any], where: str) -> dict[str, Any]:
    """The function that stands for a custom tool. A grammar binds the model's tokens, which no function can say."""
    only(tool, ("type", "name", "description", "format"), where)
    form = mapping(tool.get("format") or {"type": "text"}, f"{where}.format")
    if form.get("type") != "text":
        refuse(f"{where}.format")
    function: dict[str, Any] = {"name": text(tool.get("name"), f"{where}.name"), "parameters": _PARAMETERS}
    if tool.get("description"):
        function["description"] = tool["description"]
    return {"type": "function", "function": function}


def wrapped_input(value: str) -> str:
    """A custom call's input as the function's arguments."""
    return dump({"input": value}).decode()


def plain_input(arguments: str) -> str:
    """The other way round; arguments of another form are the input as they are."""
    try:
        value = load(arguments.encode())
    except ValueError:
        return arguments
    inner = value.get("input") if isinstance(value, dict) else None
    return inner if isinstance(inner, str) else arguments


def custom_names(request: dict[str, Any]) -> frozenset[str]:
    """Names of a request's custom tools."""
    return frozenset(tool["name"] for tool in request.get("tools") or () if tool.get("type") == "custom")
