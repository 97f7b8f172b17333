"""OpenAI's Python SDK where the model must do what the test says: tool calls, failures, silence."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import openai
import pytest

from router_backend.gateway.keys.auth import new_key
from tests.gateway.conftest import Running, Serve
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import END_OF_CHUNKS, Script, ScriptedUpstream

TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
    for name in ("weather", "time")
]
CALLS: list[dict[str, Any]] = [
    {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}},
    {"id": "c2", "type": "function", "function": {"name": "time", "arguments": '{"city": "東京"}'}},
]
USER: list[Any] = [{"role": "user", "content": "The weather in Paris, the time in Tokyo?"}]
Connect = Callable[..., openai.AsyncOpenAI]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:

        def make(gateway: Running, **options: Any) -> openai.AsyncOpenAI:
            client = openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", **{"api_key": "none", "max_retries": 0} | options)
            stack.push_async_callback(client.close)
            return client

        yield make


def frames(*deltas: dict[str, Any], finish: str) -> list[bytes]:
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    return [b"data: %s\n\n" % json.dumps({**head, "choices": [choice]}).encode() for choice in choices] + [
        END_OF_CHUNKS
    ]


def tool_deltas() -> list[dict[str, Any]]:
    """Both calls, one after the other, their arguments in pieces."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None}]
    for index, call in enumerate(CALLS):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        deltas.append({"tool_calls": [{**call, "index": index, "function": {"name": name, "arguments": ""}}]})
        for at in range(0, len(arguments), 4):
            piece = {"index": index, "function": {"arguments": arguments[at : at + 4]}}
            deltas.append({"tool_calls": [piece]})
    return deltas


async def test_parallel_tool_calls_come_back_whole(serve: Serve, upstream: ScriptedUpstream, connect: Connect) -> None:
    message = {"role": "assistant", "content": None, "tool_calls": CALLS}
    body = {
        "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }  # fmt: skip
    upstream.script(Script(body=json.dumps(body).encode()))
    client = connect(await serve(upstream, arm={"capabilities": ["tools"]}))
    answer = await client.chat.completions.create(
        model="auto", messages=USER, tools=TOOLS, tool_choice="required", parallel_tool_calls=True
    )
    assert [call.model_dump() for call in answer.choices[0].message.tool_calls or ()] == CALLS
    sent = upstream.requests[0]
    assert (sent["tools"], sent["tool_choice"], sent["parallel_tool_calls"]) == (TOOLS, "required", True)

    upstream.script(Script())
    turn: list[Any] = [*USER, answer.choices[0].message, {"role": "tool", "tool_call_id": "c1", "content": "sunny"}]
    await client.chat.completions.create(model="auto", messages=turn, tools=TOOLS)
    assert upstream.requests[1]["messages"][1]["tool_calls"] == CALLS
    assert upstream.requests[1]["messages"][2]["tool_call_id"] == "c1"


async def test_streamed_tool_calls_are_put_together_by_the_sdk(
    serve: Serve, upstream: ScriptedUpstream, connect: Connect
) -> None:
    upstream.script(Script(frames=frames(*tool_deltas(), finish="tool_calls"), split=5))
    client = connect(await serve(upstream, arm={"capabilities": ["tools"]}))
    async with client.chat.completions.stream(model="auto", messages=USER, tools=TOOLS) as stream:
        async for _ in stream:
            pass
        answer = await stream.get_final_completion()
    calls = answer.choices[0].message.tool_calls or []
    assert [(call.id, call.function.name) for call in calls] == [("c1", "weather"), ("c2", "time")]
    assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Paris", "東京"]


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (Script(status=400), openai.BadRequestError),
        (Script(status=422), openai.UnprocessableEntityError),
        (Script(status=429), openai.RateLimitError),
        (Script(status=500), openai.InternalServerError),
        (Script(drop=True), openai.InternalServerError),
    ],
)
async def test_an_upstreams_failure_is_the_sdks_exception(
    serve: Serve, upstream: ScriptedUpstream, connect: Connect, script: Script, kind: type[openai.APIStatusError]
) -> None:
    upstream.script(script)
    client = connect(await serve(upstream))
    for stream in (False, True):
        with pytest.raises(kind) as told:
            await client.chat.completions.create(model="a", messages=USER, stream=stream)
        assert told.value.request_id
        assert told.value.type


async def test_a_failure_in_mid_stream_is_an_exception_and_not_the_end(
    serve: Serve, upstream: ScriptedUpstream, connect: Connect
) -> None:
    upstream.script(Script(cut_after=2))
    client = connect(await serve(upstream))
    with pytest.raises(openai.APIError) as told:
        async for _ in await client.chat.completions.create(model="a", messages=USER, stream=True):
            pass
    assert told.value.code == "cut"


async def test_the_sdk_does_not_repeat_what_the_gateway_has_repeated(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton, connect: Connect
) -> None:
    upstream.script(Script(status=503))
    second.script(Script(status=503))
    client = connect(await serve(upstream, second, triton=triton, retries={"attempts": 1}), max_retries=2)
    with pytest.raises(openai.APIStatusError):
        await client.chat.completions.create(model="auto", messages=USER)
    assert (len(upstream.requests), len(second.requests)) == (1, 1)


async def test_leaving_the_sdks_stream_cancels_the_upstream(
    serve: Serve, upstream: ScriptedUpstream, connect: Connect
) -> None:
    upstream.script(Script(text=["a"] * 10, hang_after=4))
    client = connect(await serve(upstream))
    async with await client.chat.completions.create(model="a", messages=USER, stream=True) as stream:
        await anext(aiter(stream))
    await upstream.wait_cancelled()


async def test_the_sdks_timeout_cancels_the_upstream(
    serve: Serve, upstream: ScriptedUpstream, connect: Connect
) -> None:
    upstream.script(Script(latency=math.inf))
    client = connect(await serve(upstream))
    with pytest.raises(openai.APITimeoutError):
        await client.with_options(timeout=0.2).chat.completions.create(model="a", messages=USER)
    await upstream.wait_cancelled()


async def test_keys_scopes_and_rates_are_the_sdks_exceptions(
    serve: Serve, upstream: ScriptedUpstream, connect: Connect
) -> None:
    (chat, chat_hash), (other, other_hash) = new_key(), new_key()
    keys = [
        {"name": "chat", "sha256": chat_hash, "requests_per_minute": 1},
        {"name": "other", "sha256": other_hash, "scopes": ["feedback"]},
    ]
    gateway = await serve(upstream, security={"api_keys": keys})
    with pytest.raises(openai.AuthenticationError):
        await connect(gateway, api_key="wrong").models.list()
    with pytest.raises(openai.PermissionDeniedError):
        await connect(gateway, api_key=other).models.list()
    client = connect(gateway, api_key=chat)
    await client.models.list()
    with pytest.raises(openai.RateLimitError) as told:
        await client.models.list()
    assert int(told.value.response.headers["retry-after"]) > 0
