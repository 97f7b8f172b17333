"""Signals in an answer, and in what the client says of the answer before: facts that nobody has to be asked for.

Everything is read in memory, at a bounded cost, and only the names of signals leave this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from router_backend.forwarding.cascade.scorers import refuses
from router_backend.learning.conformity import conforms
from router_backend.learning.reading import Reading, ToolCall

MAX_JSON = 64 * 1024
"""Characters of an answer's JSON that are checked."""
_MAX_CALLS = 32
# How a tool's failure is told where the API has no field for it. Only the opening counts: a log that holds an error is a result.
_FAILURE = re.compile(
    r"\s*(?:(?:\w{0,40}(?:Error|Exception)|error|failed|exception)\b\s*[:!]|traceback \(most recent call last\)|the tool failed\."
    r"|<tool_use_error>|エラー\s*[::])",
    re.IGNORECASE,
)
_FLAGS = ("is_error", "isError")


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


def failed_calls(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Ids of the calls, of the last answer in a conversation, that the client reports as failed."""
    for message in reversed(messages):
        if message.get("role") != "tool":
            return
        identity = message.get("tool_call_id")
        if isinstance(identity, str) and identity and _failed(message.get("content")):
            yield identity


def _failed(content: Any) -> bool:
    if isinstance(content, list):
        content = next((part.get("text") for part in content if isinstance(part, dict) and part.get("text")), "")
    if not isinstance(content, str):
        return False
    if _FAILURE.match(content[:200]):
        return True
    if not content.lstrip().startswith("{") or len(content) > MAX_JSON:
        return False
    try:
        result = orjson.loads(content)
    except ValueError:
        return False
    return bool(result.get("error")) or any(result.get(flag) is True for flag in _FLAGS)


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
