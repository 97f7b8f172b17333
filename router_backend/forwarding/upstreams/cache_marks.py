"""Marks where an upstream shall keep a prompt's beginning: `cache_control`, as Anthropic has it and servers in front of Claude take it
in chat requests, too (OpenRouter, LiteLLM). A mark holds all that is in front of it: tools, then instructions, then messages.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from router_backend.core.unread import LISTS, UnreadList

MARK = {"type": "ephemeral"}
_MARKED = "cache_control"
_MOST = 4
"""Marks of a request that are taken (Anthropic's limit); more are an error of the client, less what we add."""
_INSTRUCTIONS = ("system", "developer")
Json = dict[str, Any]


def mark_chat(body: Json, places: Collection[str]) -> None:
    """Mark a chat request, whose values may be another's: what is changed is copied."""
    messages = body.get("messages")
    if not places or not isinstance(messages, LISTS) or _marks(body) + len(places) > _MOST:
        return
    changed: dict[int, Any] = {}
    if "system" in places:
        leading = -1
        for at in range(len(messages)):
            if not _is_instruction(messages[at]):
                break
            leading = at
        if leading >= 0:
            changed[leading] = _message(messages[leading])
    if "messages" in places and len(messages) and not _is_instruction(messages[-1]):
        changed[len(messages) - 1] = _message(messages[-1])
    if changed:
        rest = messages.rest(0) if isinstance(messages, UnreadList) else list(messages)
        body["messages"] = [changed.get(at, message) for at, message in enumerate(rest)]
    if "tools" in places:
        _mark_last(body, "tools")


def mark_messages(body: Json, places: Collection[str]) -> None:
    """Mark a request of Anthropic's Messages."""
    messages = body.get("messages")
    if not places or not isinstance(messages, LISTS) or _marks(body) + len(places) > _MOST:
        return
    if "system" in places and body.get("system"):
        body["system"] = _content(body["system"])
    if "messages" in places and len(messages):
        rest = messages.rest(0) if isinstance(messages, UnreadList) else list(messages)
        body["messages"] = [*rest[:-1], _message(messages[-1])]
    if "tools" in places:
        _mark_last(body, "tools")


def on_parts(body: Json) -> None:
    """Move the marks of messages to their last parts, where servers look for them."""
    body["messages"] = [_on_parts(message) if _MARKED in message else message for message in body["messages"]]


def without_marks(body: Mapping[str, Any]) -> Json:
    """A chat request that servers take which know no marks."""
    plain = {**body, "messages": [_without(message) for message in body["messages"]]}
    if isinstance(body.get("tools"), list):
        plain["tools"] = [_without(tool) for tool in body["tools"]]
    return plain


def _on_parts(message: Json) -> Json:
    rest = {name: value for name, value in message.items() if name != _MARKED}
    return {**rest, "content": _content(rest["content"], message[_MARKED])} if rest.get("content") else rest


def _without(item: Any) -> Any:
    if not isinstance(item, Mapping):
        return item
    parts = item.get("content")
    if isinstance(parts, list):
        item = {**item, "content": [_without(part) for part in parts]}
    return {name: value for name, value in item.items() if name != _MARKED} if _MARKED in item else item


def _is_instruction(message: Any) -> bool:
    return isinstance(message, Mapping) and message.get("role") in _INSTRUCTIONS


def _message(message: Any) -> Any:
    """With a mark behind its content; one without content, such as a call of tools, stays as it is."""
    if not isinstance(message, Mapping) or not message.get("content"):
        return message
    return {**message, "content": _content(message["content"])}


def _content(content: Any, mark: Any = MARK) -> Any:
    if isinstance(content, str):
        return [{"type": "text", "text": content, _MARKED: mark}]
    if isinstance(content, list) and isinstance(content[-1], Mapping) and content[-1].get("type") != "thinking":
        return [*content[:-1], {_MARKED: mark, **content[-1]}]
    return content


def _mark_last(body: Json, field: str) -> None:
    items = body.get(field)
    if isinstance(items, list) and items and isinstance(items[-1], Mapping):
        body[field] = [*items[:-1], {_MARKED: MARK, **items[-1]}]


def _marks(body: Mapping[str, Any]) -> int:
    """The client's own. Those of a large body, which isn't read, count as none: there are few."""
    found = 0
    for value in (body.get("tools"), body.get("system"), body.get("messages")):
        for item in value if isinstance(value, list) else ():
            if isinstance(item, Mapping):
                parts = item.get("content")
                found += _MARKED in item
                found += (
                    sum(_MARKED in part for part in parts if isinstance(part, Mapping))
                    if isinstance(parts, list)
                    else 0
                )
    return found
