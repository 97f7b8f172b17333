"""A whole chat answer as a response, and the items that streams are made of, too."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from router_backend.core.ids import new_decision_id
from router_backend.gateway.surfaces.responses.tools import Tool, plain_input, tools_by_function
from router_backend.gateway.surfaces.words import first_choice, reasoning, tokens

_DEFAULTS: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
}
_REPEATED = ("prompt_cache_key", "safety_identifier", "user")  # never null
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def whole_answer(chat: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """See the module. `request`: the client's."""
    choice = first_choice(chat)
    message = choice.get("message") or {}
    output: list[dict[str, Any]] = []
    if thought := reasoning(message):
        output.append(reasoning_item(thought))
    parts = []
    if message.get("content"):
        details = choice.get("logprobs") or {}
        parts.append(text_part(message["content"], details.get("content") or []))
    if message.get("refusal"):
        parts.append(refusal_part(message["refusal"]))
    calls = message.get("tool_calls") or ()
    if parts or not calls:
        output.append(message_item(parts or [text_part("")]))
    tools = tools_by_function(request)
    for call in calls:
        function = call.get("function") or {}
        output.append(
            call_item(
                call.get("id") or new_call_id(), function.get("name") or "", function.get("arguments") or "", tools
            )
        )
    return ended(head(chat["model"], request), output, choice.get("finish_reason"), chat.get("usage"))


def head(model: str, request: dict[str, Any]) -> dict[str, Any]:
    """A response that has just begun: it repeats what was asked."""
    asked = {name: request[name] if request.get(name) is not None else value for name, value in _DEFAULTS.items()}
    asked |= {name: request[name] for name in _REPEATED if request.get(name) is not None}
    return asked | {
        "id": f"resp_{new_decision_id()}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": model,
        "output": [],
        "previous_response_id": None,
        "service_tier": "default",
        "store": False,
    }


def ended(response: dict[str, Any], output: list[dict[str, Any]], finish: Any, chat_usage: Any) -> dict[str, Any]:
    """A response with its end: why it ended, and what it has cost."""
    incomplete = _INCOMPLETE.get(finish)
    status = "incomplete" if incomplete else "completed"
    done = {"incomplete_details": {"reason": incomplete}} if incomplete else {"completed_at": int(time.time())}
    return response | done | {"status": status, "output": output, **usage(chat_usage)}


def usage(chat: Any) -> dict[str, Any]:
    """The field `usage`; there is none where the model's server counts nothing."""
    if not isinstance(chat, dict):
        return {}
    used = tokens(chat)
    counts = {
        "input_tokens": used.prompt,
        "input_tokens_details": {"cached_tokens": used.cached, "cache_write_tokens": used.cache_write},
        "output_tokens": used.completion,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.prompt + used.completion,
    }
    return {"usage": counts}


def reasoning_item(thought: str) -> dict[str, Any]:
    content = [{"type": "reasoning_text", "text": thought}] if thought else []
    return {"id": _id("rs"), "type": "reasoning", "summary": [], "content": content, "status": "completed"}


def message_item(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": _id("msg"), "type": "message", "role": "assistant", "status": "completed", "content": parts}


def text_part(text: str, logprobs: list[Any] | None = None) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs or []}


def refusal_part(refusal: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": refusal}


def call_item(call_id: str, function: str, arguments: str, tools: Mapping[str, Tool]) -> dict[str, Any]:
    """`tools`: what the functions of the request stand for."""
    tool = tools.get(function, Tool(function))
    same = {"call_id": call_id, "name": tool.name, "status": "completed"}
    if tool.namespace:
        same["namespace"] = tool.namespace
    if tool.custom:
        return {"id": _id("ctc"), "type": "custom_tool_call", "input": plain_input(arguments), **same}
    return {"id": _id("fc"), "type": "function_call", "arguments": arguments, **same}


def new_call_id() -> str:
    """For a tool call whose server gives it none."""
    return _id("call")


def _id(kind: str) -> str:
    return f"{kind}_{new_decision_id()}"
