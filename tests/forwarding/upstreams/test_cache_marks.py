"""Marks for prompt caches, in requests to servers that want them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from router_backend.core.jsonio import dump, load
from router_backend.forwarding.request import ForwardRequest, Native
from router_backend.forwarding.upstreams.body import arm_body, native_body
from router_backend.gateway.large_bodies import read_fields
from tests.support.arms import model, router_config

PLACES = ["tools", "system", "messages"]
MARK = {"type": "ephemeral"}
CHAT: dict[str, Any] = {
    "model": "a",
    "messages": [
        {"role": "system", "content": "Be brief"},
        {"role": "developer", "content": [{"type": "text", "text": "In German"}]},
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two"},
        {"role": "user", "content": [{"type": "text", "text": "Three"}]},
    ],
    "tools": [{"type": "function", "function": {"name": name}} for name in "fg"],
}


def arm(places: list[str], **fields: Any) -> Any:
    section = model("a", "http://127.0.0.1:9/v1", **fields)
    section["upstream"] |= {"cache_points": places, "apis": ["chat", "messages"]}
    return router_config([section]).models[0]


def sent(body: dict[str, Any], places: list[str], **fields: Any) -> Any:
    before = copy.deepcopy(body)
    made = load(dump(arm_body(arm(places, **fields), ForwardRequest(body=body, arms=["a"]))))
    assert body == before  # the client's own is another arm's, too
    return made


def marks(value: Any, path: str = "") -> list[str]:
    """Where marks are."""
    if isinstance(value, dict):
        found = [path] if value.get("cache_control") == MARK else []
        return found + [each for name, inner in value.items() for each in marks(inner, f"{path}/{name}")]
    if isinstance(value, list):
        return [each for at, inner in enumerate(value) for each in marks(inner, f"{path}/{at}")]
    return []


@pytest.mark.parametrize(
    ("places", "found"),
    [
        ([], []),
        (["tools"], ["/tools/1"]),
        (["system"], ["/messages/1/content/0"]),
        (["messages"], ["/messages/4/content/0"]),
        (PLACES, ["/messages/1/content/0", "/messages/4/content/0", "/tools/1"]),
    ],
)
def test_a_chat_is_marked(places: list[str], found: list[str]) -> None:
    body = sent(CHAT, places)
    assert sorted(marks(body)) == found
    assert body["messages"][2:4] == CHAT["messages"][2:4]


def test_a_text_becomes_a_part() -> None:
    body = sent({"model": "a", "messages": [{"role": "user", "content": "hi"}]}, PLACES)
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": MARK}]}]


def test_the_routers_own_instructions_are_marked() -> None:
    body = sent({"model": "a", "messages": [{"role": "user", "content": "hi"}]}, ["system"], system_prompt="Think")
    assert marks(body) == ["/messages/0/content/0"]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "user", "content": ""},
        {"role": "user", "content": []},
    ],
)
def test_what_has_no_content_has_no_mark(message: dict[str, Any]) -> None:
    assert sent({"model": "a", "messages": [message]}, PLACES)["messages"] == [message]


def test_a_client_that_marks_itself_is_left_alone() -> None:
    """A request takes four marks: with ours it would be refused."""
    body = copy.deepcopy(CHAT)
    body["messages"][1]["content"][0]["cache_control"] = MARK
    body["messages"][4]["content"][0]["cache_control"] = MARK
    assert len(marks(sent(body, PLACES))) == 2


def test_a_large_body_is_marked_unread() -> None:
    large = {**CHAT, "messages": [*CHAT["messages"], {"role": "user", "content": "x" * 300_000}]}
    body = read_fields(dump(large), "messages", ("model", "messages"))
    made = load(dump(arm_body(arm(["messages"]), ForwardRequest(body=body, arms=["a"]))))
    assert marks(made) == ["/messages/5/content/0"]
    assert made["messages"][:5] == CHAT["messages"]


def test_messages_are_marked() -> None:
    asked = {
        "model": "a",
        "max_tokens": 9,
        "system": "Be brief",
        "tools": [{"name": "f", "input_schema": {}}],
        "messages": [{"role": "user", "content": "hi"}],
    }
    native = Native("messages", asked)
    made = native_body(arm(PLACES), ForwardRequest(body=CHAT, arms=["a"], native=native), native)
    assert sorted(marks(made)) == ["/messages/0/content/0", "/system/0", "/tools/0"]
    assert not marks(asked)
