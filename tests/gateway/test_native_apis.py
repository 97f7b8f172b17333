"""Upstreams that speak the client's own API: passed on as it is, with the guards that chat has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import anthropic
import openai
import pytest

from tests.gateway.conftest import Running, Serve
from tests.gateway.test_disconnects import open_and_leave
from tests.gateway.test_streaming import outcome
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream

ASK: list[Any] = [{"role": "user", "content": "hi"}]
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "upstream-model",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 2, "output_tokens": 1},
}
WRITTEN: list[dict[str, Any]] = [
    {"type": "message_start", "message": MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Well."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s1"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "ping"},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hel"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "lo"}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}},
    },
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a":'}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": " 1}"}},
    {"type": "content_block_stop", "index": 2},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 7},
    },
    {"type": "message_stop"},
]
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "upstream-model",
    "output": [
        {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}],
        }
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 42,
        "input_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 49,
    },
}
DELTA = {
    "type": "response.output_text.delta",
    "item_id": "m",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hello",
    "logprobs": [],
}
RESPONDED: list[dict[str, Any]] = [
    {"type": "response.created", "sequence_number": 0, "response": {**RESPONSE, "status": "in_progress", "output": []}},
    {**DELTA, "sequence_number": 1},
    {"type": "response.completed", "sequence_number": 2, "response": RESPONSE},
]
WHOLE = {
    "messages": {
        **MESSAGE,
        "content": [
            {"type": "thinking", "thinking": "Well.", "signature": "s1"},
            {"type": "text", "text": "Hello"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
        "usage": {**MESSAGE["usage"], "output_tokens": 7},  # type: ignore[dict-item]
    },
    "responses": RESPONSE,
}
EVENTS = {"messages": WRITTEN, "responses": RESPONDED}
BODIES: dict[str, dict[str, Any]] = {
    "messages": {"model": "a", "max_tokens": 50, "messages": ASK},
    "responses": {"model": "a", "input": "hi"},
}
on_both = pytest.mark.parametrize("api", list(EVENTS))


def framed(events: Sequence[dict[str, Any]]) -> list[bytes]:
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def answers(api: str) -> Script:
    """The same answer, streamed or whole."""
    return Script(frames=framed(EVENTS[api]), body=json.dumps(WHOLE[api]).encode())


def speaks(upstream: ScriptedUpstream, *apis: str, **fields: Any) -> dict[str, Any]:
    """An arm that speaks these beside chat."""
    return {
        "upstream": {"kind": "openai", "base_url": upstream.base_url, "model": "up", "apis": ["chat", *apis]},
        **fields,
    }


async def native(serve: Serve, upstream: ScriptedUpstream, api: str, **sections: Any) -> Running:
    return await serve(upstream, arms={"a": speaks(upstream, api)}, **sections)


async def test_a_message_is_passed_on_both_ways(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    upstream.script(answers("messages"))
    gateway = await native(serve, upstream, "messages", triton=triton)
    client = anthropic.AsyncAnthropic(base_url=gateway.url, api_key="any", max_retries=0)
    search: Any = {"type": "web_search_20250305", "name": "web_search"}
    ask: Any = {
        "model": "auto",
        "max_tokens": 50,
        "messages": ASK,
        "tools": [search],
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "extra_headers": {"anthropic-beta": "b1"},
    }
    async with client.messages.stream(**ask) as stream:
        streamed = await stream.get_final_message()
    kept = await outcome(triton)
    whole = await client.messages.create(**ask)
    for answer in (streamed, whole):
        assert [block.type for block in answer.content] == ["thinking", "text", "tool_use"]
        assert answer.content[0].signature == "s1"  # type: ignore[union-attr]
        assert answer.content[1].text == "Hello"  # type: ignore[union-attr]
        assert answer.content[2].input == {"a": 1}  # type: ignore[union-attr]
        assert (answer.id, answer.model, answer.stop_reason) == ("msg_1", "a", "tool_use")
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (10, 7)
    assert upstream.paths == ["/v1/messages"] * 2
    for sent, headers in zip(upstream.requests, upstream.request_headers, strict=True):
        assert sent["tools"] == [search]
        assert sent["system"] == ask["system"]
        assert sent["model"] == "up"
        assert headers["anthropic-beta"] == "b1"
        assert headers["anthropic-version"]
    used = kept["usage"]
    assert (used["prompt"], used["cached"], used["cache_write"], used["completion"]) == (42, 30, 2, 7)


async def test_a_response_is_passed_on_both_ways(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    upstream.script(answers("responses"))
    gateway = await native(serve, upstream, "responses", triton=triton)
    client = openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0)
    search: Any = {"type": "web_search"}
    stream = await client.responses.create(model="auto", input="hi", tools=[search], stream=True)
    streamed = [event async for event in stream][-1].response  # type: ignore[union-attr]
    kept = await outcome(triton)
    whole = await client.responses.create(model="auto", input="hi", tools=[search])
    for answer in (streamed, whole):
        assert (answer.id, answer.model, answer.output_text) == ("resp_1", "a", "Hello")
    assert upstream.paths == ["/v1/responses"] * 2
    assert upstream.requests[0]["tools"] == [search]
    assert (kept["usage"]["prompt"], kept["usage"]["cached"], kept["usage"]["reasoning"]) == (42, 30, 2)


@on_both
async def test_what_only_a_native_upstream_takes_goes_nowhere_else(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton, api: str
) -> None:
    second.script(answers(api))
    gateway = await serve(upstream, second, triton=triton, arms={"b": speaks(second, api)})
    body = {**BODIES[api], "model": "auto", "tools": [{"type": "web_search", "name": "web_search"}]}
    answer = await gateway.http.post(f"/v1/{api}", json=body)
    assert (answer.status_code, answer.headers["x-router-model"]) == (200, "b")
    named = await gateway.http.post(f"/v1/{api}", json={**body, "model": "a"})
    assert named.status_code == 400
    assert "tools[0]" in named.text
    assert not upstream.requests


@on_both
@pytest.mark.parametrize("stream", [False, True])
async def test_a_silent_native_upstream_costs_a_fallback(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton, api: str, stream: bool
) -> None:
    upstream.script(Script(first_delay=60))
    gateway = await serve(
        upstream, second, triton=triton, arms={"a": speaks(upstream, api)}, timeouts={"first_token": 0.3}
    )
    answer = await gateway.http.post(f"/v1/{api}", json={**BODIES[api], "model": "auto", "stream": stream})
    assert (answer.status_code, answer.headers["x-router-model"]) == (200, "b")
    assert second.paths == ["/v1/chat/completions"]


@on_both
async def test_a_whole_answer_is_put_together_from_events_where_another_arm_could_answer(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton, api: str
) -> None:
    upstream.script(answers(api))
    gateway = await serve(upstream, second, triton=triton, arms={"a": speaks(upstream, api)})
    answer = await gateway.http.post(f"/v1/{api}", json={**BODIES[api], "model": "auto"})
    assert upstream.requests[0]["stream"] is True
    assert answer.json() == {**WHOLE[api], "model": "a"}


@on_both
@pytest.mark.parametrize("end", ["cut", "error", "silence"])
async def test_a_native_stream_that_fails_ends_with_an_error(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, api: str, end: str
) -> None:
    part = framed(EVENTS[api])[: {"messages": 8, "responses": 2}[api]]
    broken = framed([{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}])
    scripts = {
        "cut": Script(frames=part, cut_after=len(part)),
        "error": Script(frames=[*part, *broken]),
        "silence": Script(frames=[*part, *broken], hang_after=len(part)),
    }
    upstream.script(scripts[end])
    gateway = await native(serve, upstream, api, triton=triton, timeouts={"idle": 0.3})
    answer = await gateway.http.post(f"/v1/{api}", json={**BODIES[api], "model": "auto", "stream": True})
    last = json.loads(answer.text.rstrip().rpartition("data: ")[2])
    assert last["type"] == {"messages": "error", "responses": "response.failed"}[api]
    if api == "responses":
        assert (last["sequence_number"], last["response"]["id"]) == (2, "resp_1")
    assert (await outcome(triton))["status"] == 502


@on_both
async def test_leaving_cancels_a_native_upstream_and_is_paid(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, api: str
) -> None:
    upstream.script(Script(frames=framed(EVENTS[api]), hang_after={"messages": 9, "responses": 2}[api]))
    gateway = await native(serve, upstream, api, triton=triton)
    await open_and_leave(gateway, path=f"/v1/{api}", after=2, model="auto", max_tokens=5)
    await upstream.wait_cancelled()
    assert (await outcome(triton))["status"] == 499


@on_both
async def test_an_error_of_a_native_upstream(serve: Serve, upstream: ScriptedUpstream, api: str) -> None:
    upstream.script(Script(status=400, error={"type": "invalid_request_error", "message": "no such thing"}))
    gateway = await native(serve, upstream, api)
    answer = await gateway.http.post(f"/v1/{api}", json=BODIES[api])
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "no such thing"


@on_both
async def test_an_arms_own_instructions_and_hints_of_routing(
    serve: Serve, upstream: ScriptedUpstream, api: str
) -> None:
    upstream.script(answers(api))
    gateway = await serve(upstream, arms={"a": speaks(upstream, api, system_prompt="detailed thinking on")})
    metadata = {"router_session": "s", "user_id": "u"}
    answer = await gateway.http.post(f"/v1/{api}", json={**BODIES[api], "metadata": metadata})
    assert answer.status_code == 200
    sent = upstream.requests[0]
    assert sent[{"messages": "system", "responses": "instructions"}[api]] == "detailed thinking on"
    assert sent["metadata"] == {"user_id": "u"}


@on_both
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "event",
    [
        b"[]",
        b"nonsense",
        b'{"type": "a\\nb"}',
        b'{"type": "message_start", "message": 1}',
        b'{"type": "response.completed"}',
        b'{"type": "response.completed", "response": 7}',
        b'{"type": "response.failed", "response": {"error": 5}}',
        b'{"type": "content_block_delta", "index": 9, "delta": {"text": "x"}}',
        b'{"type": "content_block_delta", "delta": 3}',
        b'{"type": "message_delta", "delta": 3, "usage": []}',
    ],
)
async def test_what_is_no_event_is_a_failure_and_never_a_mistake_of_ours(
    serve: Serve,
    upstream: ScriptedUpstream,
    second: ScriptedUpstream,
    triton: ScriptedTriton,
    api: str,
    stream: bool,
    event: bytes,
) -> None:
    upstream.script(Script(frames=[*framed(EVENTS[api])[:1], b"data: " + event + b"\n\n"]))
    gateway = await serve(upstream, second, triton=triton, arms={"a": speaks(upstream, api)})
    answer = await gateway.http.post(f"/v1/{api}", json={**BODIES[api], "model": "auto", "stream": stream})
    assert answer.status_code == 200
    if not stream:
        assert answer.headers["x-router-model"] == "b"
