"""Answers are looked at after they went out: what is noticed reaches Triton as a score, and nothing of the text does."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import orjson
import pytest

from router_backend.gateway import review
from tests.gateway.conftest import Running, Serve
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream

SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}]
ABLE = {"capabilities": ["tools", "json"]}


async def signals(triton: ScriptedTriton, count: int) -> list[tuple[str, str, float]]:
    async with asyncio.timeout(10):
        while len(triton.signals) < count:
            await asyncio.sleep(0.005)
    return triton.signals


async def idle(gateway: Running) -> None:
    """Until nothing is held any more."""
    async with asyncio.timeout(10):
        while gateway.app.reviewer.held:
            await asyncio.sleep(0.005)


def decision(response: httpx.Response) -> str:
    return response.headers["x-router-decision-id"]


@pytest.fixture
async def gateway(serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton) -> Running:
    implicit = {"refusal": 0.3, "empty": 0.0, "tool_error": 0.4, "regenerated": 0.2}
    return await serve(upstream, triton=triton, arm=ABLE, implicit=implicit)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_of_the_wrong_schema(
    gateway: Running, upstream: ScriptedUpstream, triton: ScriptedTriton, stream: bool
) -> None:
    upstream.script(Script(text=['{"age"', ": 3}"]), Script(text=['{"age"', ': "x"}']))
    for _ in range(2):
        response = await gateway.chat(response_format=FORMAT, stream=stream)
    assert await signals(triton, 1) == [(decision(response), "invalid_output", 0.0)]
    await idle(gateway)
    assert len(triton.signals) == 1
    assert 'llm_router_signals_total{signal="invalid_output"} 1.0' in (await gateway.http.get("/metrics")).text


async def test_a_refusal_and_an_empty_answer(
    gateway: Running, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    upstream.script(Script(text=["I'm sorry", ", I can't."]), Script(text=[" "]), Script())
    made = [decision(await gateway.chat(stream=True)) for _ in range(3)]
    assert await signals(triton, 2) == [(made[0], "refusal", 0.3), (made[1], "empty", 0.0)]


async def test_a_tool_that_failed_scores_the_answer_that_called_it(
    gateway: Running, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"age": 3}'}}
    asks = {"role": "assistant", "content": None, "tool_calls": [call]}
    body = orjson.dumps({"choices": [{"index": 0, "message": asks, "finish_reason": "tool_calls"}]})
    upstream.script(Script(body=body), Script(), Script())
    before = decision(await gateway.chat("hi", tools=TOOLS))

    async def reply(text: str, first: str) -> httpx.Response:
        result = {"role": "tool", "tool_call_id": "call_1", "content": text}
        messages = [{"role": "user", "content": first}, asks, result]
        return await gateway.http.post(
            "/v1/chat/completions", json={"model": "auto", "messages": messages, "tools": TOOLS}
        )

    await reply("Error: no such age", "another conversation")
    await reply("Error: no such age", "hi")
    assert await signals(triton, 1) == [(before, "tool_error", 0.4)]


async def test_the_same_conversation_again_in_its_session(gateway: Running, triton: ScriptedTriton) -> None:
    first = decision(await gateway.chat(user="u"))
    await gateway.chat(user="v")
    await gateway.chat(user="u")
    assert await signals(triton, 1) == [(first, "regenerated", 0.2)]


async def test_signals_without_a_score_are_not_looked_for(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    off = {"invalid_output": None, "invalid_tool_call": None}
    gateway = await serve(upstream, triton=triton, arm=ABLE, implicit=off)
    await gateway.chat(response_format=FORMAT)
    assert gateway.app.reviewer.held == 0
    assert "llm_router_signals_total{" not in (await gateway.http.get("/metrics")).text


async def test_a_client_that_leaves_is_not_looked_at_and_nothing_stays_in_memory(
    gateway: Running, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    upstream.script(Script(text=["x"] * 3, hang_after=2))
    body: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    async with gateway.http.stream("POST", "/v1/chat/completions", json=body) as response:
        async for _ in response.aiter_bytes():
            break
    await upstream.wait_cancelled()
    await idle(gateway)
    assert triton.signals == []


async def test_what_is_too_large_is_dropped_and_counted(
    gateway: Running, upstream: ScriptedUpstream, triton: ScriptedTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review, "ANSWER_BYTES", 2000)
    upstream.script(Script(text=["x" * 3000]))
    for stream in (False, True):
        await gateway.chat(response_format=FORMAT, stream=stream)
    await idle(gateway)
    assert "llm_router_reviews_dropped_total 2.0" in (await gateway.http.get("/metrics")).text
    assert triton.signals == []


async def test_scores_wait_while_triton_is_away(
    gateway: Running, upstream: ScriptedUpstream, triton: ScriptedTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router_backend.gateway.score_queue._PAUSE", 0.01)
    hold = triton.hold_reports = asyncio.Event()
    upstream.script(Script(text=["no JSON"]))
    made = decision(await gateway.chat(response_format=FORMAT))
    await idle(gateway)
    hold.set()
    assert await signals(triton, 1) == [(made, "invalid_output", 0.0)]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_user_says_to_an_answer_is_its_score(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, stream: bool
) -> None:
    gateway = await serve(upstream, triton=triton, implicit={"thanked": 0.9, "complained": 0.1})
    conversation: list[dict[str, Any]] = [{"role": "user", "content": "Where is Paris?"}]
    answered = []
    for said in ("Thanks! And Rome?", "That's wrong.", "Name three lakes."):
        body = {"model": "auto", "messages": conversation, "stream": stream}
        answered.append(decision(await gateway.http.post("/v1/chat/completions", json=body)))
        await idle(gateway)
        conversation += [{"role": "assistant", "content": "Hello, world "}, {"role": "user", "content": said}]
    # All answers have the same text: the latest one is meant.
    assert await signals(triton, 2) == [(answered[0], "thanked", 0.9), (answered[1], "complained", 0.1)]


async def test_thanks_for_an_answer_of_somebody_else_are_nobodys(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton, implicit={"thanked": 0.9})
    await gateway.chat("Where is Paris?")
    await idle(gateway)
    ask, thanks = {"role": "user", "content": "Where is Paris?"}, {"role": "user", "content": "Thanks!"}
    for messages in (
        [ask, {"role": "assistant", "content": "Elsewhere"}, thanks],
        [{**ask, "content": "Where is Rome?"}, {"role": "assistant", "content": "Hello, world"}, thanks],
        [ask, {"role": "assistant", "content": "Hello, world"}, {"role": "user", "content": "And Rome?"}],
        [thanks],
    ):
        await gateway.http.post("/v1/chat/completions", json={"model": "auto", "messages": messages})
        await idle(gateway)
    assert triton.signals == []
