"""Signals in an answer, and in what the client says of the answer before: facts that nobody has to be asked for.

Everything is read in memory, at a bounded cost, and only the names of signals leave this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from router_backend.forwarding.cascade.scorers import refuses
from router_backend.learning.conformity import conforms
from router_backend.learning.reading import Reading, ToolCall

MAX_JSON = 64 * 1024
"""Characters of an answer's JSON that are checked."""
_MAX_CALLS = 32


def signals_in(request: Mapping[str, Any], answer: Reading, finish_reason: str) -> Iterator[str]:
    """Names of what is wrong with an answer to a chat request. `finish_reason` in OpenAI's words."""
    if finish_reason == "content_filter" or answer.refusal or (not answer.calls and refuses(answer.text)):
        yield "refusal"
        return
    if not answer.calls and not answer.text.strip():
        yield "empty"
        return
    if finish_reason == "length":
        return  # it is cut, which is a signal of its own, and what was cut is of no schema
    if not answer.calls and _breaks_format(request.get("response_format"), answer.text):
        yield "invalid_output"
    tools = _tools(request.get("tools"))
    if tools and any(_breaks_schema(call, tools) for call in answer.calls[:_MAX_CALLS]):
        yield "invalid_tool_call"


def checked(request: Mapping[str, Any]) -> bool:
    """Whether a request holds schemas that its answer must meet."""
    return bool(request.get("tools") or request.get("response_format"))


def _breaks_format(wanted: Any, text: str) -> bool:
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind not in ("json_schema", "json_object") or len(text) > MAX_JSON:
        return False
    try:
        value = orjson.loads(text)
    except ValueError:
        return True
    if kind == "json_object":
        return not isinstance(value, dict)
    described = wanted.get("json_schema")
    schema = described.get("schema") if isinstance(described, dict) else None
    return schema is not None and conforms(value, schema) is False


def _tools(tools: Any) -> dict[str, Any]:
    """Schemas of the functions by name; a tool of another kind takes what it likes."""
    functions = [tool.get("function") for tool in tools or () if isinstance(tool, dict)]
    if not functions or not all(isinstance(function, dict) for function in functions):
        return {}
    return {str(function.get("name")): function.get("parameters") for function in functions if function}


def _breaks_schema(call: ToolCall, tools: Mapping[str, Any]) -> bool:
    if call.name not in tools:
        return True
    if len(call.arguments) > MAX_JSON:
        return False
    try:
        arguments = orjson.loads(call.arguments or "{}")
    except ValueError:
        return True
    schema = tools[call.name]
    return not isinstance(arguments, dict) or (schema is not None and conforms(arguments, schema) is False)
