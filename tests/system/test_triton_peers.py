"""Streams and disconnects through Triton's `llm_router_bls`: the cases of tests/gateway, on Triton's own protocol.

Each is a case where another router bled; the issues are named in tests/gateway/test_streaming.py.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
from tritonclient.grpc import service_pb2_grpc

from llm_router_client import NO_RETRIES, AsyncRouterClient, RateLimitError
from router_backend.state.open import open_store
from tests.support.arms import model
from tests.support.configs import local_config
from tests.support.running import RunningSystem
from tests.support.scripted_upstream import END_OF_CHUNKS, Script, ScriptedUpstream
from tests.support.triton_stream import Answer, Triton

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMITS = {"first_token": 2, "idle": 1, "total": 4}
MEGABYTES = [("grpc.max_send_message_length", 64 * 1024 * 1024), ("grpc.max_receive_message_length", 64 * 1024 * 1024)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers() -> AsyncIterator[tuple[ScriptedUpstream, ScriptedUpstream]]:
    async with ScriptedUpstream() as first, ScriptedUpstream() as second:
        yield first, second


@pytest.fixture
def upstream(servers: tuple[ScriptedUpstream, ScriptedUpstream]) -> ScriptedUpstream:
    return again(servers[0])


@pytest.fixture
def second(servers: tuple[ScriptedUpstream, ScriptedUpstream]) -> ScriptedUpstream:
    return again(servers[1])


def again(server: ScriptedUpstream) -> ScriptedUpstream:
    server.script(Script())
    server.requests.clear()
    server.cancelled = 0
    return server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def triton(
    servers: tuple[ScriptedUpstream, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Triton]:
    folder = tmp_path_factory.mktemp("peers")
    fields = {"capabilities": ["tools", "vision"], "max_concurrency": 4, "max_queue": 4, "context_window": 1_000_000}
    models = [model(name, server.base_url, **fields) for name, server in zip("ab", servers, strict=True)]
    config = local_config(
        folder,
        models=models,
        default_model="a",
        policy={"name": "fixed", "model": "a"},
        timeouts=LIMITS,
        retries={"backoff": 0.001, "max_backoff": 0.05},
        breaker={"failures": 1000},
    )
    running = RunningSystem(folder, config=config)
    await asyncio.to_thread(running.start)
    async with grpc.aio.insecure_channel(running.grpc, options=MEGABYTES) as channel:
        yield Triton(running, service_pb2_grpc.GRPCInferenceServiceStub(channel))
    await asyncio.to_thread(running.stop)


# Clients that leave


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_leaving_before_the_first_token_cancels_the_upstream(
    triton: Triton, upstream: ScriptedUpstream, second: ScriptedUpstream, stream: bool
) -> None:
    upstream.script(Script(latency=math.inf))
    call = triton.call(stream=stream)
    reading = asyncio.ensure_future(call.read())
    await upstream.wait_running(within=10)
    call.cancel()
    await upstream.wait_cancelled(within=1)  # before any time limit of ours
    await asyncio.gather(reading, return_exceptions=True)
    assert not second.requests


async def test_leaving_in_mid_stream_cancels_the_upstream_and_keeps_the_usage(
    triton: Triton, upstream: ScriptedUpstream
) -> None:
    upstream.script(Script(text=["a"] * 200, delay=0.02))
    answer, call = Answer(), triton.call()
    while not answer.text:
        answer.take(await call.read())
    call.cancel()
    await upstream.wait_cancelled()
    kept = await triton.outcome(answer.decision_id)
    assert kept.status == 499
    assert 0 < kept.usage.completion < 200
    assert kept.cost


async def test_cancellation_leaves_nothing_running(triton: Triton, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(text=["a"] * 200, delay=0.02))
    calls = [triton.call(models=("a",)) for _ in range(4)]
    for call in calls:
        await call.read()
    for call in calls:
        call.cancel()
    await upstream.wait_running(0)
    upstream.script(Script())
    assert (await triton.ask()).text == "Hello, world"  # the four places are free


# Accounting


async def test_an_explicit_zero_is_a_number(triton: Triton, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(text=[], usage={"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7}))
    answer = await triton.ask(stream=False)
    kept = await triton.outcome(answer.decision_id)
    assert answer.tokens == (7, 0)
    assert (kept.usage_known, kept.usage.completion, kept.cost) == (True, 0, pytest.approx(7e-6))


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_the_outcome_is_durable_when_the_answer_has_ended(
    triton: Triton, upstream: ScriptedUpstream, stream: bool
) -> None:
    answer = await triton.ask(stream=stream)
    assert (answer.text, answer.finish, answer.ended, answer.tokens) == ("Hello, world", "stop", True, (7, 3))
    store = open_store("sqlite:///state.db", triton.running.state_dir)
    kept = store.outcome(answer.decision_id)
    store.close()
    assert kept is not None
    assert (kept.status, kept.usage.completion, kept.cost) == (200, 3, pytest.approx(13e-6))


async def test_done_ends_the_answer_though_the_upstream_stays_open(triton: Triton, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(linger=math.inf))
    answer = await triton.ask()
    assert (answer.ended, answer.error) == (True, "")


# Retries and fallbacks


async def test_fallback_happens_only_before_the_first_byte(
    triton: Triton, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(status=500))
    answer = await triton.ask()
    assert (answer.served, answer.text) == ("b", "Hello, world")
    assert (await triton.outcome(answer.decision_id)).served == "b"


async def test_a_cut_in_mid_stream_is_an_error_and_no_second_answer(
    triton: Triton, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(cut_after=3))
    answer = await triton.ask()
    assert answer.text
    assert "broke off" in answer.error
    assert answer.finish == ""
    assert not second.requests
    assert (await triton.outcome(answer.decision_id)).status == 502


async def test_an_error_object_in_mid_stream_is_no_normal_ending(triton: Triton, upstream: ScriptedUpstream) -> None:
    start = delta(delta={"content": "a"})
    upstream.script(Script(frames=[start, b'data: {"error":{"message":"out of memory"}}\n\n'], delay=0.05))
    answer = await triton.ask()
    assert answer.text == "a"
    assert "out of memory" in answer.error
    assert answer.finish == ""


async def test_an_answer_that_no_model_gave_is_an_outcome(
    triton: Triton, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(status=400, error={"message": "no such voice", "type": "invalid_request_error"}))
    before = triton.statuses()
    answer = await triton.ask()
    assert "no such voice" in answer.error
    async with asyncio.timeout(10):
        while triton.statuses().get(400, 0) == before.get(400, 0):
            await asyncio.sleep(0.05)


async def test_429_stays_429_through_fallback(
    triton: Triton, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    for server in (upstream, second):
        server.script(Script(status=429, headers={"retry-after": "7"}))
    answer = await triton.ask()
    assert "429: " in answer.error
    assert answer.error.endswith(" (retry-after: 7, should-retry: false)")
    assert second.requests
    assert answer.chunks == []


@pytest.mark.parametrize("served", ["llm_router", "llm_router_bls"])
async def test_a_full_queue_says_when_to_come_back(triton: Triton, upstream: ScriptedUpstream, served: str) -> None:
    upstream.script(Script(latency=math.inf))
    calls = [asyncio.create_task(triton.ask(served=served, models=("a",))) for _ in range(9)]  # there are 8 places
    try:
        (refused,), _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        assert re.fullmatch(r".*429: .* \(retry-after: \d+\)", (await refused).error)
        if served == "llm_router_bls":
            client = AsyncRouterClient(f"triton+grpc://{triton.running.grpc}", retries=NO_RETRIES)
            with pytest.raises(RateLimitError) as told:
                await client.chat("hi", model="a")
            await client.aclose()
            assert told.value.retryable
            assert told.value.retry_after is not None
            assert told.value.retry_after >= 1
    finally:
        await asyncio.gather(*calls)
        await upstream.wait_running(0)


# Bytes


@pytest.mark.parametrize("size", [1, 3, 64])
async def test_lines_and_characters_may_be_split_anywhere(
    triton: Triton, upstream: ScriptedUpstream, size: int
) -> None:
    upstream.script(Script(text=["日本", "語🎉", "é"], split=size))
    answer = await triton.ask()
    assert (answer.text, answer.finish, answer.ended) == ("日本語🎉é", "stop", True)


async def test_usage_chunk_comes_when_asked_for_and_only_then(triton: Triton, upstream: ScriptedUpstream) -> None:
    asked = await triton.ask(stream_options={"include_usage": True})
    assert (asked.chunks[-1]["choices"], asked.chunks[-1]["usage"]["completion_tokens"]) == ([], 3)
    unasked = await triton.ask()
    assert all(chunk["choices"] and not chunk.get("usage") for chunk in unasked.chunks)
    assert unasked.tokens == asked.tokens == (7, 3)


def delta(**fields: Any) -> bytes:
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    data = {**chunk, "choices": [{"index": 0, "finish_reason": None, **fields}]}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


async def test_tool_call_deltas_reach_the_client_whole(triton: Triton, upstream: ScriptedUpstream) -> None:
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
    frames = [
        delta(delta={"role": "assistant", "content": None, "tool_calls": [first]}),
        delta(delta={"tool_calls": [{"index": 0, "function": {"arguments": '{"x":'}}]}),
        delta(delta={"tool_calls": [{"function": {"arguments": "1}"}}]}),  # no index
        delta(delta={}, finish_reason="tool_calls"),
        END_OF_CHUNKS,
    ]
    upstream.script(Script(frames=frames))
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    answer = await triton.ask(tools=tools)
    calls = [
        call
        for chunk in answer.chunks
        for choice in chunk["choices"]
        for call in choice["delta"].get("tool_calls") or ()
    ]
    assert "".join(call["function"]["arguments"] for call in calls) == '{"x":1}'
    assert {call["index"] for call in calls} == {0}
    assert answer.finish == "tool_calls"
    assert upstream.requests[0]["tools"] == tools


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": []},
        {"role": "user", "content": "x" * 1_000_000},
        {"role": "user", "content": "日本語の文" * 400},
        {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "vendor_part", "x": 1}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://169.254.169.254/secret"}}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "user", "content": "\u0000\u202e🎉" * 3000},
    ],
    ids=["empty", "a megabyte", "over the limit", "parts", "image", "null with tool calls", "odd characters"],
)
async def test_messages_of_every_kind_are_forwarded_as_they_are(
    triton: Triton, upstream: ScriptedUpstream, message: dict[str, Any]
) -> None:
    messages = [{"role": "user", "content": "hi"}, message]
    answer = await triton.ask(messages=messages)
    assert (answer.error, answer.text) == ("", "Hello, world")
    assert upstream.requests[0]["messages"] == messages


@pytest.mark.parametrize("way", ["metadata", "llm_router", "llm_router_bls"])
async def test_the_clients_trace_is_passed_on(triton: Triton, upstream: ScriptedUpstream, way: str) -> None:
    upstream.request_headers.clear()
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "one=1"}
    if way == "metadata":
        assert (await triton.ask(metadata=tuple(trace.items()))).text == "Hello, world"
    else:
        async with httpx.AsyncClient(base_url=triton.running.triton, trust_env=False) as http:
            reply = await http.post(f"/v2/models/{way}/generate", json={"text_input": "hi", "max_tokens": 4, **trace})
        assert reply.status_code == 200, reply.text
    assert {name: upstream.request_headers[0][name] for name in trace} == trace


# Time limits


@pytest.mark.parametrize(
    ("script", "stream", "limit"),
    [
        (Script(first_delay=math.inf), True, "first_token"),  # headers, then silence
        (Script(latency=math.inf), False, "total"),
        (Script(hang_after=3), True, "idle"),
        (Script(text=["x"] * 1000, delay=0.1), True, "total"),
    ],
    ids=["first token", "whole", "idle", "total"],
)
async def test_each_limit_ends_with_an_error_that_names_it(
    triton: Triton, upstream: ScriptedUpstream, script: Script, stream: bool, limit: str
) -> None:
    upstream.script(script)
    answer = await triton.ask(models=("a",), stream=stream)
    assert limit in answer.error
    assert answer.finish == ""
    await upstream.wait_running(0)


async def test_a_hung_upstream_does_not_starve_the_others(
    triton: Triton, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(latency=math.inf))
    hung = [triton.call(models=("a",)) for _ in range(8)]
    reading = [asyncio.ensure_future(call.read()) for call in hung]
    await upstream.wait_running(4, within=10)
    assert (await triton.ask(models=("b",))).text == "Hello, world"
    for call in hung:
        call.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    await upstream.wait_running(0)
