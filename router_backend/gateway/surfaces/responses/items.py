"""Items of stored conversations, as OpenAI lists them: each with an id, messages with parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from router_backend.core.ids import new_decision_id

Item = dict[str, Any]
_KINDS = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "cto",
}


def given_items(said: str | Sequence[Item]) -> list[Item]:
    """A request's `input` as items."""
    return [_message("user", said)] if isinstance(said, str) else [_listed(item) for item in said]


def said_again(items: Sequence[Item]) -> list[Item]:
    """Stored items as a request's `input`. Their ids are this gateway's; a server that stores nothing knows none of them."""
    return [
        {name: value for name, value in item.items() if name != "id" or item.get("type") == "reasoning"}
        for item in items
    ]


def _listed(item: Item) -> Item:
    kind = item.get("type", "message")
    if kind == "message" and isinstance(item.get("content"), str):
        item = item | {"content": _message(item.get("role"), item["content"])["content"]}
    return {"id": f"{_KINDS.get(kind, 'item')}_{new_decision_id()}", "type": kind, "status": "completed", **item}


def _message(role: Any, text: str) -> Item:
    written: Item = {"type": "output_text", "annotations": [], "logprobs": []}
    part = {**(written if role == "assistant" else {"type": "input_text"}), "text": text}
    name = f"msg_{new_decision_id()}"
    return {"id": name, "type": "message", "role": role, "status": "completed", "content": [part]}
