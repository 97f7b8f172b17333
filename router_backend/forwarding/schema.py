"""Answers as OpenAI's published schema has them, where servers that speak its protocol leave something out.

CreateChatCompletionResponse, CreateChatCompletionStreamResponse and CreateCompletionResponse of OpenAI's OpenAPI document
(https://github.com/openai/openai-openapi): llama.cpp leaves out what is null; vLLM writes null where the schema has none.
SDKs that are generated from the document refuse both. Fields that the schema doesn't know are left as they are.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

_NEVER_NULL = ("system_fingerprint", "usage")
_NEVER_NULL_IN_USAGE = ("prompt_tokens_details", "completion_tokens_details")
_NEVER_NULL_IN_MESSAGES = ("tool_calls", "function_call", "annotations")


def complete_body(body: dict[str, Any]) -> bool:
    """Complete a whole chat or text completion in place; returns whether it was changed."""
    changed = _without_nulls(body, _NEVER_NULL)
    changed |= complete_usage(body.get("usage"))
    for choice in body["choices"]:
        if not isinstance(choice, dict):
            continue
        changed |= _with_null(choice, "logprobs")
        message = choice.get("message")
        if isinstance(message, dict):
            changed |= _logprobs(choice) | _message(message)
    return changed


def complete_choice(choice: dict[str, Any]) -> bool:
    """Complete a choice of a stream's chunk in place; returns whether it was changed."""
    changed = _with_null(choice, "finish_reason")
    delta = choice.get("delta")
    if isinstance(delta, dict):
        changed |= _logprobs(choice) | _without_nulls(delta, _NEVER_NULL_IN_MESSAGES)
        if delta.get("tool_calls"):
            changed |= _call_deltas(delta["tool_calls"])
    elif "text" in choice:
        changed |= _with_null(choice, "logprobs")
    return changed


def complete_usage(usage: Any) -> bool:
    """Complete an answer's or a chunk's usage in place; returns whether it was changed."""
    return isinstance(usage, dict) and _without_nulls(usage, _NEVER_NULL_IN_USAGE)


def _message(message: dict[str, Any]) -> bool:
    changed = _with_null(message, "content") | _with_null(message, "refusal")
    changed |= _without_nulls(message, _NEVER_NULL_IN_MESSAGES)
    for call in message.get("tool_calls") or ():
        if isinstance(call, dict) and not (call.get("id") and call.get("type")):
            call["id"] = call.get("id") or f"call_{uuid4().hex}"  # a tool's result has to name it
            call["type"] = call.get("type") or "function"
            changed = True
    return changed


def _call_deltas(calls: Any) -> bool:
    changed = False
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            changed |= _without_nulls(call, ("id", "type", "function"))
            if isinstance(call.get("function"), dict):
                changed |= _without_nulls(call["function"], ("name", "arguments"))
    return changed


def _logprobs(choice: dict[str, Any]) -> bool:
    logprobs = choice.get("logprobs")
    return isinstance(logprobs, dict) and _with_null(logprobs, "content") | _with_null(logprobs, "refusal")


def _with_null(fields: dict[str, Any], name: str) -> bool:
    if name in fields:
        return False
    fields[name] = None
    return True


def _without_nulls(fields: dict[str, Any], names: tuple[str, ...]) -> bool:
    found = [name for name in names if name in fields and fields[name] is None]
    for name in found:
        del fields[name]
    return bool(found)
