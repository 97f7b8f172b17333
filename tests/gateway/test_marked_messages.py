"""Marks for prompt caches in Anthropic's Messages, on their way to models that speak other APIs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from router_backend.core.records import Usage
from router_backend.gateway.conversations import recognise
from router_backend.gateway.memory import Sessions
from router_backend.gateway.surfaces.messages import MESSAGES
from tests.gateway.conftest import Serve
from tests.gateway.test_messages import TOOL, sdk
from tests.support.scripted_bedrock import CREDENTIALS, REGION, ScriptedBedrock
from tests.support.scripted_upstream import ScriptedUpstream

MARK = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
POINT = {"cachePoint": {"type": "default"}}


def text(words: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **fields}


TALK: list[Any] = [
    {"role": "user", "content": [text("Weather?", **MARK)]},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "weather", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [text("rain")], **MARK}]},
]
ASKED: dict[str, Any] = {
    "model": "a",
    "max_tokens": 5,
    "system": [text("Long."), text("Longer.", **HOUR)],
    "tools": [{**TOOL, **HOUR}],
    "messages": TALK,
}


@pytest.fixture
async def bedrock(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ScriptedBedrock]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    async with ScriptedBedrock() as server:
        yield server


async def sent_to_bedrock(
    serve: Serve, upstream: ScriptedUpstream, bedrock: ScriptedBedrock, points: list[str], **asked: Any
) -> dict[str, Any]:
    there = {"kind": "bedrock", "model": "m", "region": REGION, "endpoint_url": bedrock.url, "cache_points": points}
    arm = {"upstream": there, "capabilities": ["tools"]}
    async with sdk(await serve(upstream, arm=arm)) as client:
        await client.messages.create(**{**ASKED, **asked})
    return bedrock.requests[-1]


async def test_bedrock_gets_them_as_cache_points(
    serve: Serve, upstream: ScriptedUpstream, bedrock: ScriptedBedrock
) -> None:
    sent = await sent_to_bedrock(serve, upstream, bedrock, [])
    hour = {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert sent["system"] == [{"text": "Long."}, {"text": "Longer."}, hour]
    assert sent["toolConfig"]["tools"][1:] == [hour]
    first, _, last = (message["content"] for message in sent["messages"])
    assert first == [{"text": "Weather?"}, POINT]
    assert last == [{"toolResult": {"toolUseId": "t", "content": [{"text": "rain"}]}}, POINT]


async def test_a_mark_of_the_whole_prompt_is_one_at_its_end(
    serve: Serve, upstream: ScriptedUpstream, bedrock: ScriptedBedrock
) -> None:
    talk = [*TALK[:2], {"role": "user", "content": [{**TALK[2]["content"][0], "cache_control": None}, text("So?")]}]
    sent = await sent_to_bedrock(serve, upstream, bedrock, [], messages=talk, **MARK)
    assert sent["messages"][-1]["content"][-2:] == [{"text": "So?"}, POINT]


async def test_ours_come_beside_them_as_far_as_bedrock_takes_points(
    serve: Serve, upstream: ScriptedUpstream, bedrock: ScriptedBedrock
) -> None:
    talk = [{"role": "user", "content": [text("a", **MARK), text("b", **MARK), text("c", **MARK), text("d")]}]
    places = ["tools", "system", "messages"]
    sent = await sent_to_bedrock(serve, upstream, bedrock, places, messages=talk, system="Long.", tools=[TOOL])
    assert sent["toolConfig"]["tools"][-1] == POINT
    assert sent["system"] == [{"text": "Long."}]  # a fifth would be refused
    assert sent["messages"][-1]["content"][-1] == {"text": "d"}


async def test_a_chat_server_that_may_not_know_them_gets_none(serve: Serve, upstream: ScriptedUpstream) -> None:
    async with sdk(await serve(upstream)) as client:
        await client.messages.create(**ASKED, **MARK)
    sent = upstream.requests[0]
    assert "cache_control" not in str(sent)
    assert [message["content"] for message in sent["messages"]] == [
        [text("Long."), text("Longer.")],
        "Weather?",
        None,
        "rain",
    ]


async def test_a_chat_server_that_takes_marks_gets_the_clients(serve: Serve, upstream: ScriptedUpstream) -> None:
    there = {"kind": "openai", "base_url": upstream.base_url, "model": "m", "cache_points": ["system"]}
    async with sdk(await serve(upstream, arm={"upstream": there})) as client:
        await client.messages.create(**ASKED)
    sent = upstream.requests[0]
    assert sent["messages"][0]["content"] == [text("Long."), text("Longer.", **HOUR)]
    assert sent["messages"][1]["content"] == [text("Weather?", **MARK)]
    assert sent["messages"][3]["content"] == [text("rain", **MARK)]
    assert sent["tools"][0]["cache_control"] == HOUR["cache_control"]


def test_a_conversation_is_recognised_though_its_marks_move() -> None:
    assert MESSAGES.codec is not None
    sessions, system = Sessions(10), [text("Long.", **MARK)]
    first = recognise("k", MESSAGES.codec.request({**ASKED, "system": system, "messages": TALK[:1]}), sessions)
    assert first is not None
    first.answered(sessions, "a", Usage(prompt=10))
    plain = [{"role": "user", "content": [text("Weather?")]}, *TALK[1:]]
    second = recognise("k", MESSAGES.codec.request({**ASKED, "system": "Long.", "messages": plain}), sessions)
    assert second is not None
    assert (second.session, second.previous) == (first.session, "a")
