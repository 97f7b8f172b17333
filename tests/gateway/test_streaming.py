"""Streams and disconnects: each test is a case where another router bled (its issue is named)."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest

from tests.gateway.conftest import Running, Serve
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import END_OF_CHUNKS, Script, ScriptedUpstream


def events(text: str) -> list[Any]:
    """The payloads of an SSE body, [DONE] as text."""
    payloads = [line.removeprefix("data: ") for line in text.split("\n") if line]
    return [payload if payload == "[DONE]" else json.loads(payload) for payload in payloads]


def text_of(chunks: list[Any]) -> str:
    return "".join(
        choice["delta"].get("content") or "" for chunk in chunks if chunk != "[DONE]" for choice in chunk["choices"]
    )


async def stream(gateway: Running, **fields: Any) -> list[Any]:
    response = await gateway.chat(stream=True, **fields)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    return events(response.text)


# Accounting: LiteLLM #14457, #37992, Envoy AI Gateway #2563


async def outcome(triton: ScriptedTriton) -> dict[str, Any]:
    """The first outcome that becomes durable."""
    async with asyncio.timeout(5):
        while not triton.outcomes:
            await asyncio.sleep(0.005)
    return next(iter(triton.outcomes.values()))


async def test_an_explicit_zero_is_a_number(serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton) -> None:
    upstream.script(Script(text=[], usage={"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7}))
    gateway = await serve(upstream, triton=triton)
    response = await gateway.chat(model="a")
    assert response.json()["usage"]["completion_tokens"] == 0
    kept = await outcome(triton)
    assert (kept["usage_known"], kept["usage"]["completion"]) == (True, 0)
    assert kept["cost"] == pytest.approx(7e-6)


async def test_done_ends_the_response_though_the_upstream_stays_open(serve: Serve, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(linger=math.inf))
    gateway = await serve(upstream)
    async with asyncio.timeout(5):
        assert (await stream(gateway, model="a"))[-1] == "[DONE]"


# Retries and fallbacks: LiteLLM #34627, #32835, TensorZero #7373


async def test_fallback_happens_only_before_the_first_byte(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    upstream.script(Script(status=500))
    gateway = await serve(upstream, second, triton=triton)
    response = await gateway.chat(stream=True)
    assert response.headers["x-router-model"] == "b"
    assert text_of(events(response.text)) == "Hello, world"
    kept = await outcome(triton)
    assert kept["served"] == "b"


async def test_a_cut_in_mid_stream_is_an_error_frame_and_no_second_answer(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    upstream.script(Script(cut_after=3))
    gateway = await serve(upstream, second, triton=triton)
    chunks = await stream(gateway)
    assert chunks[-1]["error"].keys() == {"message", "type", "param", "code"}
    assert "[DONE]" not in chunks
    assert not second.requests
    assert (await outcome(triton))["status"] == 502


async def test_a_named_model_never_falls_back(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(status=500))
    gateway = await serve(upstream, second)
    response = await gateway.chat(model="a")
    assert response.status_code == 502
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["x-router-model"] == "a"
    assert not second.requests


async def test_429_stays_429_through_fallback_with_retry_after(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    for server in (upstream, second):
        server.script(Script(status=429, headers={"retry-after": "7"}))
    gateway = await serve(upstream, second, triton=triton)
    response = await gateway.chat()
    assert response.status_code == 429
    assert response.headers["retry-after"] == "7"
    assert response.headers["x-should-retry"] == "false"
    assert response.json()["error"]["type"] == "rate_limit_error"


# Bytes: Plano #980, NVIDIA llm-router v1, Portkey #1629, AstrBot #6661, agno #8880, mistral.rs #1874


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
async def test_lines_and_characters_may_be_split_anywhere(serve: Serve, upstream: ScriptedUpstream, size: int) -> None:
    upstream.script(Script(text=["日本", "語🎉", "é"], split=size))
    gateway = await serve(upstream)
    chunks = await stream(gateway, model="a")
    assert text_of(chunks) == "日本語🎉é"
    assert chunks[-1] == "[DONE]"


async def test_usage_chunk_comes_when_asked_for_and_only_then(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    asked = await stream(gateway, model="a", stream_options={"include_usage": True})
    assert asked[-2]["choices"] == []
    assert asked[-2]["usage"]["completion_tokens"] == 3
    unasked = await stream(gateway, model="a")
    assert all(chunk["choices"] and not chunk.get("usage") for chunk in unasked[:-1])
    metrics = (await gateway.http.get("/metrics")).text
    assert 'llm_router_tokens_total{kind="completion",model="a",policy_version="",task=""} 6.0' in metrics


async def test_tool_call_deltas_reach_the_client_whole(serve: Serve, upstream: ScriptedUpstream) -> None:
    def delta(**fields: Any) -> bytes:
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        return (
            b"data: "
            + json.dumps({**chunk, "choices": [{"index": 0, "finish_reason": None, **fields}]}).encode()
            + b"\n\n"
        )

    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
    frames = [
        delta(delta={"role": "assistant", "tool_calls": [first]}),
        delta(delta={"tool_calls": [{"index": 0, "function": {"arguments": '{"x":'}}]}),
        delta(delta={"tool_calls": [{"function": {"arguments": "1}"}}]}),  # no index
        delta(delta={}, finish_reason="tool_calls"),
        END_OF_CHUNKS,
    ]
    upstream.script(Script(frames=frames))
    gateway = await serve(upstream, arm={"capabilities": ["tools"]})
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    chunks = await stream(gateway, model="a", tools=tools)
    calls = [
        call for chunk in chunks[:-1] for choice in chunk["choices"] for call in choice["delta"].get("tool_calls", [])
    ]
    assert "".join(call["function"]["arguments"] for call in calls) == '{"x":1}'
    assert {call["index"] for call in calls} == {0}
    assert upstream.requests[0]["tools"] == tools


async def test_an_error_object_in_mid_stream_is_no_normal_ending(serve: Serve, upstream: ScriptedUpstream) -> None:
    start = b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
    upstream.script(Script(frames=[start, b'data: {"error":{"message":"out of memory"}}\n\n'], delay=0.05))
    gateway = await serve(upstream)
    chunks = await stream(gateway, model="a")
    assert "out of memory" in chunks[-1]["error"]["message"]
    assert "[DONE]" not in chunks


# Time limits: TensorZero's timeouts, production-stack #749


@pytest.mark.parametrize(
    ("limit", "script", "streamed"),
    [
        ("first_token", Script(first_delay=math.inf), True),  # headers, then silence
        ("total", Script(latency=math.inf), False),
    ],
)
async def test_limits_before_the_first_byte_are_504(
    serve: Serve, upstream: ScriptedUpstream, limit: str, script: Script, streamed: bool
) -> None:
    upstream.script(script)
    gateway = await serve(upstream, timeouts={limit: 0.2})
    response = await gateway.chat(model="a", stream=streamed)
    assert response.status_code == 504
    assert limit in response.json()["error"]["message"]


async def test_silence_in_mid_stream_ends_with_an_error_frame(serve: Serve, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(hang_after=3))
    gateway = await serve(upstream, timeouts={"idle": 0.2})
    chunks = await stream(gateway, model="a")
    assert "idle" in chunks[-1]["error"]["message"]


async def test_a_hung_upstream_does_not_starve_the_others(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(latency=math.inf))
    gateway = await serve(upstream, second, arm={"max_concurrency": 4, "max_queue": 4})
    hung = [asyncio.create_task(gateway.chat(model="a")) for _ in range(8)]
    await upstream.wait_running(4)
    assert (await gateway.chat(model="b")).status_code == 200
    full = await gateway.chat(model="a")
    assert full.status_code == 429
    assert int(full.headers["retry-after"]) >= 1
    assert "x-should-retry" not in full.headers  # nobody has tried yet
    for task in hung:
        task.cancel()
    await asyncio.gather(*hung, return_exceptions=True)
