"""Answers as OpenAI's published schema has them, where servers that speak its protocol leave something out.

CreateChatCompletionResponse, CreateChatCompletionStreamResponse and CreateCompletionResponse of OpenAI's OpenAPI document
(https://github.com/openai/openai-openapi): llama.cpp leaves out what is null; vLLM writes null where the schema has none.
SDKs that are generated from the document refuse both. Fields that the schema doesn't know are left as they are.
Every chunk passes through here, so types are compared without a call: JSON's objects are dicts and nothing derived.
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
    if "usage" in body and type(body["usage"]) is dict:
        changed |= _without_nulls(body["usage"], _NEVER_NULL_IN_USAGE)
    for choice in body["choices"]:
        if type(choice) is not dict:
            continue
        if "logprobs" not in choice:
            choice["logprobs"] = None
            changed = True
        message = choice.get("message")
        if type(message) is dict:
            changed |= _message(message)
            if choice["logprobs"]:
                changed |= _logprobs(choice["logprobs"])
    return changed


def complete_choice(choice: dict[str, Any]) -> bool:
    """Complete a choice of a stream's chunk in place; returns whether it was changed."""
    changed = False
    if "finish_reason" not in choice:
        choice["finish_reason"] = None
        changed = True
    delta = choice.get("delta")
    if type(delta) is dict:
        changed |= _without_nulls(delta, _NEVER_NULL_IN_MESSAGES)
        if choice.get("logprobs"):
            changed |= _logprobs(choice["logprobs"])
        if "tool_calls" in delta and type(delta["tool_calls"]) is list:
            for call in delta["tool_calls"]:
                changed |= _call_delta(call)
    elif "text" in choice and "logprobs" not in choice:
        choice["logprobs"] = None
        changed = True
    return changed


def complete_usage(usage: dict[str, Any]) -> bool:
    """Complete a chunk's usage in place; returns whether it was changed."""
    return _without_nulls(usage, _NEVER_NULL_IN_USAGE)


def _message(message: dict[str, Any]) -> bool:
    changed = _without_nulls(message, _NEVER_NULL_IN_MESSAGES)
    for name in ("content", "refusal"):
        if name not in message:
            message[name] = None
            changed = True
    if "tool_calls" in message and type(message["tool_calls"]) is list:
        for call in message["tool_calls"]:
            changed |= _call(call)
    return changed


def _call(call: Any) -> bool:
    if type(call) is not dict or (call.get("id") and call.get("type")):
        return False
    call["id"] = call.get("id") or f"call_{uuid4().hex}"  # a tool's result has to name it
    call["type"] = call.get("type") or "function"
    return True


def _call_delta(call: Any) -> bool:
    if type(call) is not dict:
        return False
    changed = _without_nulls(call, ("id", "type", "function"))
    function = call.get("function")
    return changed | (type(function) is dict and _without_nulls(function, ("name", "arguments")))


def _logprobs(logprobs: Any) -> bool:
    if type(logprobs) is not dict:
        return False
    changed = False
    for name in ("content", "refusal"):
        if name not in logprobs:
            logprobs[name] = None
            changed = True
    return changed


def _without_nulls(fields: dict[str, Any], names: tuple[str, ...]) -> bool:
    changed = False
    for name in names:
        if name in fields and fields[name] is None:
            del fields[name]
            changed = True
    return changed
