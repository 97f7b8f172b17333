"""Tools that the client runs, as functions, which is all that chat models know; and their calls the other way round.

A custom tool, whose input is text, is a function with this text as its only argument. A function of a namespace has the namespace
in its name and in its description.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from router_backend.core.jsonio import dump, load
from router_backend.gateway.surfaces.words import items, mapping, only, refuse, text

_PARAMETERS = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "the tool's input, as it is"}},
    "required": ["input"],
    "additionalProperties": False,
}
_BETWEEN = "__"  # a namespace and a name in it: the pattern of function names has no dot


class Tool(NamedTuple):
    """What a function stands for."""

    name: str
    namespace: str = ""
    custom: bool = False


def functions(tool: dict[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """The functions that stand for a tool.

    Raises:
        ApiError: 400, chat has nothing like it.
    """
    match tool.get("type"):
        case "function":
            only(tool, ("type", "name", "description", "parameters", "strict"), where)
            text(tool.get("name"), f"{where}.name")
            yield _function({name: tool.get(name) for name in ("name", "description", "parameters", "strict")})
        case "custom":
            only(tool, ("type", "name", "description", "format"), where)
            form = mapping(tool.get("format") or {"type": "text"}, f"{where}.format")
            if form.get("type") != "text":
                refuse(f"{where}.format")  # a grammar binds the model's tokens, which no function can say
            name, about = text(tool.get("name"), f"{where}.name"), tool.get("description")
            yield _function({"name": name, "description": about, "parameters": _PARAMETERS})
        case "namespace":
            only(tool, ("type", "name", "description", "tools"), where)
            space = text(tool.get("name"), f"{where}.name")
            for at, inner in enumerate(items(tool.get("tools"), f"{where}.tools")):
                if inner.get("type") == "namespace":
                    refuse(f"{where}.tools[{at}]", "is a namespace in another one")
                for function in functions(inner, f"{where}.tools[{at}]"):
                    told = function["function"]
                    about = [each for each in (tool.get("description"), told.get("description")) if each]
                    yield _function(
                        told | {"name": f"{space}{_BETWEEN}{told['name']}", "description": "\n".join(map(str, about))}
                    )
        case other:
            refuse(where, f"is {other!r}, a tool that OpenAI's servers run; chat completions don't have it")


def _function(fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {name: value for name, value in fields.items() if value is not None}}


def function_name(call: Mapping[str, Any], where: str) -> str:
    """The name of the function that stands for the tool of a call, or of a choice."""
    name = text(call.get("name"), f"{where}.name")
    return f"{text(call['namespace'], f'{where}.namespace')}{_BETWEEN}{name}" if call.get("namespace") else name


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


def tools_by_function(request: Mapping[str, Any]) -> dict[str, Tool]:
    """What the functions of a translated request stand for, where that is no plain function."""
    found: dict[str, Tool] = {}
    for tool in request.get("tools") or ():
        space = tool["name"] if tool["type"] == "namespace" else ""
        for inner in tool["tools"] if space else (tool,):
            custom = inner["type"] == "custom"
            if custom or space:
                found[f"{space}{_BETWEEN}{inner['name']}" if space else inner["name"]] = Tool(
                    inner["name"], space, custom
                )
    return found
