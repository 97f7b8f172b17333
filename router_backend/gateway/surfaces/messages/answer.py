"""A whole chat answer as a message."""

from __future__ import annotations

from typing import Any

from router_backend.core.ids import new_decision_id
from router_backend.core.jsonio import load
from router_backend.gateway.surfaces.words import first_choice, reasoning, tokens

_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


def whole_answer(chat: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """See the module. `request`: the client's."""
    choice = first_choice(chat)
    message = choice.get("message") or {}
    content: list[dict[str, Any]] = []
    if thought := reasoning(message):
        content.append({"type": "thinking", "thinking": thought, "signature": ""})
    for name in ("content", "refusal"):
        if message.get(name):
            content.append({"type": "text", "text": message[name], "citations": None})
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        content.append(
            {
                "type": "tool_use",
                "id": call.get("id") or new_call_id(),
                "name": function.get("name") or "",
                "input": call_input(function.get("arguments") or ""),
                "caller": {"type": "direct"},
            }
        )
    refused = bool(message.get("refusal"))
    return (
        message_head(chat["model"])
        | {"content": content, "usage": usage(chat.get("usage"))}
        | ending(choice, request, refused)
    )


def message_head(model: str) -> dict[str, Any]:
    """What stands at the beginning of a message, streamed or not."""
    return {
        "id": f"msg_{new_decision_id()}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "usage": usage(None),
    }


def ending(choice: dict[str, Any], request: dict[str, Any], refused: bool) -> dict[str, Any]:
    """Why an answer ended. vLLM says by which stop sequence."""
    reason = _REASONS.get(choice.get("finish_reason") or "stop", "end_turn")
    stopped = choice.get("stop_reason")
    sequence = stopped if reason == "end_turn" and stopped in (request.get("stop_sequences") or ()) else None
    if sequence is not None:
        reason = "stop_sequence"
    return {"stop_reason": "refusal" if refused else reason, "stop_sequence": sequence}


def usage(chat: Any) -> dict[str, Any]:
    """Anthropic counts what a cache held of a prompt, and what it took, apart from the rest."""
    used = tokens(chat)
    return {
        "input_tokens": max(0, used.prompt - used.cached - used.cache_write),
        "cache_creation_input_tokens": used.cache_write,
        "cache_read_input_tokens": used.cached,
        "output_tokens": used.completion,
        "output_tokens_details": {"thinking_tokens": used.reasoning},
    }


def call_input(arguments: str) -> dict[str, Any]:
    """A call's arguments as the object that a tool_use block holds; text that is none is kept under `arguments`."""
    try:
        value = load(arguments.encode()) if arguments.strip() else {}
    except ValueError:
        value = arguments
    return value if isinstance(value, dict) else {"arguments": value}


def new_call_id() -> str:
    """For a tool call whose server gives it none."""
    return f"toolu_{new_decision_id()}"
