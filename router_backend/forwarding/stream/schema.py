"""Answers as OpenAI's published schema has them, where servers that speak its protocol leave something out.

CreateChatCompletionResponse, CreateChatCompletionStreamResponse and CreateCompletionResponse of OpenAI's OpenAPI document
(https://github.com/openai/openai-openapi): llama.cpp leaves out what is null; vLLM writes null where the schema has none.
SDKs that are generated from the document refuse both. Fields that the schema doesn't know are left as they are.
Every chunk passes through here, so types are compared without a call: JSON's objects are dicts and nothing derived.
"""

from __future__ import annotations

from os import urandom
from time import time
from typing import Any

from router_backend.core.jsonio import dump
from router_backend.forwarding.stream.values import finish_reason, identifier, timestamp, token_count

_NEVER_NULL = ("system_fingerprint", "usage")
_NEVER_NULL_IN_USAGE = ("prompt_tokens_details", "completion_tokens_details")
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_NEVER_NULL_IN_MESSAGES = ("tool_calls", "function_call", "annotations")


def new_id() -> str:
    """For an answer whose server gives it none."""
    return f"chatcmpl-{urandom(16).hex()}"


def complete_body(body: dict[str, Any], endpoint: str) -> bool:
    """Complete a whole chat or text completion in place; returns whether it was changed."""
    changed = _without_nulls(body, _NEVER_NULL)
    if "id" not in body or not identifier(body["id"]):
        body["id"] = new_id()
        changed = True
    if "object" not in body or type(body["object"]) is not str:
        body["object"] = "chat.completion" if endpoint == "chat/completions" else "text_completion"
        changed = True
    if "created" not in body or not timestamp(body["created"]):
        body["created"] = int(time())
        changed = True
    if "usage" in body and type(body["usage"]) is dict:
        changed |= complete_usage(body["usage"])
    for place, choice in enumerate(body["choices"]):
        if type(choice) is dict:
            changed |= _whole_choice(place, choice)
    return changed


def _whole_choice(place: int, choice: dict[str, Any]) -> bool:
    changed = False
    if "index" not in choice or type(choice["index"]) is not int:
        choice["index"] = place
        changed = True
    if "logprobs" not in choice:
        choice["logprobs"] = None
        changed = True
    message = choice.get("message")
    calls = None
    if type(message) is dict:
        changed |= _message(message)
        calls = message.get("tool_calls")
        if choice["logprobs"]:
            changed |= _logprobs(choice["logprobs"])
    theirs = choice.get("finish_reason")
    reason = finish_reason(theirs) or ("tool_calls" if calls else "stop")  # a whole answer has ended
    if reason != theirs:
        choice["finish_reason"] = reason
        changed = True
    return changed


def complete_choice(choice: dict[str, Any]) -> bool:
    """Complete a choice of a stream's chunk in place; returns whether it was changed."""
    changed = False
    if "finish_reason" not in choice:
        choice["finish_reason"] = None
        changed = True
    delta = choice.get("delta")
    if delta is None and "delta" in choice:
        delta = choice["delta"] = {}
        changed = True
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
    changed = _without_nulls(usage, _NEVER_NULL_IN_USAGE)
    for name in _COUNTS:
        if name in usage and type(usage[name]) is float and token_count(usage[name]) is not None:
            usage[name] = int(usage[name])
            changed = True
    if "total_tokens" not in usage:
        prompt, completion = token_count(usage.get("prompt_tokens")), token_count(usage.get("completion_tokens"))
        if prompt is not None and completion is not None:
            usage["total_tokens"] = prompt + completion
            changed = True
    return changed


def _message(message: dict[str, Any]) -> bool:
    changed = _without_nulls(message, _NEVER_NULL_IN_MESSAGES)
    if "role" not in message or type(message["role"]) is not str:
        message["role"] = "assistant"
        changed = True
    for name in ("content", "refusal"):
        if name not in message:
            message[name] = None
            changed = True
    if "tool_calls" in message and type(message["tool_calls"]) is list:
        for call in message["tool_calls"]:
            changed |= _call(call)
    return changed


def _call(call: Any) -> bool:
    if type(call) is not dict:
        return False
    changed = False
    if not identifier(call.get("id")):
        call["id"] = f"call_{urandom(16).hex()}"  # a tool's result has to name it
        changed = True
    if not call.get("type"):
        call["type"] = "function"
        changed = True
    function = call.get("function")
    if type(function) is dict:
        changed |= _arguments(function)
        if "arguments" not in function:
            function["arguments"] = "{}"
            changed = True
    return changed


def _call_delta(call: Any) -> bool:
    if type(call) is not dict:
        return False
    changed = _without_nulls(call, ("id", "type", "function"))
    if "id" in call and call["id"] and not identifier(call["id"]):
        call["id"] = f"call_{urandom(16).hex()}"
        changed = True
    function = call.get("function")
    if type(function) is dict:
        changed |= _without_nulls(function, ("name", "arguments")) | _arguments(function)
        if "name" in function and "arguments" not in function:
            function["arguments"] = ""
            changed = True
    return changed


def _arguments(function: dict[str, Any]) -> bool:
    """Arguments are JSON in a string; Ollama's own API and some proxies write the object itself."""
    arguments = function.get("arguments")
    if type(arguments) is dict or type(arguments) is list:
        function["arguments"] = dump(arguments).decode()
        return True
    return _without_nulls(function, ("arguments",))


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
