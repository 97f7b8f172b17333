"""Anthropic's Messages API: what its SDK sends, and what it gets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest

from tests.gateway.conftest import Running, Serve
from tests.gateway.test_python_sdk import frames
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream

ASK: list[Any] = [{"role": "user", "content": "hi"}]
TOOL: Any = {"name": "weather", "description": "Today's", "input_schema": {"type": "object", "properties": {}}}
CALLS = [
    {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Kyoto"}'}},
]
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


CALL = {"type": "tool_use", "id": "t", "name": "weather", "input": {}}


def said(block: dict[str, Any]) -> dict[str, Any]:
    """A user's message of one block."""
    return {"messages": [{"role": "user", "content": [block]}]}


def sdk(gateway: Running) -> anthropic.AsyncAnthropic:
    """Strict: an answer that isn't what the SDK's types say is an error."""
    return anthropic.AsyncAnthropic(
        base_url=gateway.url, api_key="any", max_retries=0, _strict_response_validation=True
    )


@pytest.fixture
async def client(serve: Serve, upstream: ScriptedUpstream) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with sdk(await serve(upstream)) as client:
        yield client


async def test_a_whole_answer(client: anthropic.AsyncAnthropic, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(usage=USAGE, delta={"reasoning_content": "Well."}))
    answer = await client.messages.create(model="a", max_tokens=50, messages=ASK, system="Be brief.")
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert (answer.content[1].text, answer.stop_reason, answer.model) == ("Hello, world", "end_turn", "a")  # type: ignore[union-attr]
    used = answer.usage
    assert (used.input_tokens, used.cache_read_input_tokens, used.output_tokens) == (10, 60, 20)
    assert used.cache_creation_input_tokens == 30
    assert used.output_tokens_details is not None
    assert used.output_tokens_details.thinking_tokens == 5
    sent = upstream.requests[0]
    assert sent["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    assert sent["max_tokens"] == 50


async def test_a_streamed_answer(client: anthropic.AsyncAnthropic, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(usage=USAGE, delta={"reasoning_content": "Well."}))
    async with client.messages.stream(model="a", max_tokens=50, messages=ASK) as stream:
        kinds = [event.type async for event in stream]
        answer = await stream.get_final_message()
    assert [kinds[0], kinds[-1]] == ["message_start", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 2
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert (answer.content[1].text, answer.stop_reason) == ("Hello, world", "end_turn")  # type: ignore[union-attr]
    used = answer.usage
    assert (used.input_tokens, used.cache_read_input_tokens, used.output_tokens) == (10, 60, 20)
    assert used.cache_creation_input_tokens == 30


async def test_parallel_tool_calls(client: anthropic.AsyncAnthropic, upstream: ScriptedUpstream) -> None:
    whole = Script(text=[], delta={"content": None, "tool_calls": CALLS}, finish="tool_calls")
    heads = [{**call, "index": at, "function": {"name": "weather", "arguments": ""}} for at, call in enumerate(CALLS)]
    turns = [(at, CALLS[at]["function"]["arguments"], half) for half in (slice(0, 5), slice(5, None)) for at in (0, 1)]  # type: ignore[index]
    pieces = [{"index": at, "function": {"arguments": text[half]}} for at, text, half in turns]  # type: ignore[index]
    deltas = [{"content": "Let me see."}, *({"tool_calls": [piece]} for piece in [*heads, *pieces])]
    streamed = Script(frames=frames(*deltas, finish="tool_calls"))
    upstream.script(whole, streamed)
    asked = {"model": "a", "max_tokens": 50, "messages": ASK, "tools": [TOOL]}
    answer = await client.messages.create(**asked)
    async with client.messages.stream(**asked) as stream:
        second = await stream.get_final_message()
    for message in (answer, second):
        calls = [block for block in message.content if block.type == "tool_use"]
        assert [(call.id, call.name, call.input) for call in calls] == [
            ("call_1", "weather", {"city": "Oslo"}),
            ("call_2", "weather", {"city": "Kyoto"}),
        ]
        assert message.stop_reason == "tool_use"
    assert upstream.requests[0]["tools"] == [
        {
            "type": "function",
            "function": {"name": "weather", "description": "Today's", "parameters": TOOL["input_schema"]},
        }
    ]


async def test_what_was_said_before_reaches_the_model(
    client: anthropic.AsyncAnthropic, upstream: ScriptedUpstream
) -> None:
    image: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    talk: list[Any] = [
        {
            "role": "user",
            "content": [image, {"type": "text", "text": "What is it?", "cache_control": {"type": "ephemeral"}}],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Look.", "signature": ""},
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}},
                {"type": "tool_use", "id": "t2", "name": "weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "rain"},
                {"type": "tool_result", "tool_use_id": "t2", "content": [image], "is_error": True},
                {"type": "text", "text": "So?"},
            ],
        },
    ]
    await client.messages.create(
        model="a",
        max_tokens=5,
        messages=talk,
        tools=[TOOL],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        stop_sequences=["END"],
        thinking={"type": "enabled", "budget_tokens": 2000},
        metadata={"user_id": "u"},
    )
    sent = upstream.requests[0]
    url = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool", "tool", "user"]
    assert sent["messages"][0]["content"] == [url, {"type": "text", "text": "What is it?"}]
    assert sent["messages"][1]["reasoning_content"] == "Look."
    assert [call["function"]["arguments"] for call in sent["messages"][1]["tool_calls"]] == ['{"city":"Oslo"}', "{}"]
    assert sent["messages"][2] == {"role": "tool", "tool_call_id": "t1", "content": "rain"}
    assert sent["messages"][4]["content"] == [url, {"type": "text", "text": "So?"}]
    said = {"tool_choice": "required", "parallel_tool_calls": False, "stop": ["END"], "user": "u"}
    assert said.items() <= sent.items()
    assert sent["reasoning_effort"] == "low"


async def test_structured_outputs(client: anthropic.AsyncAnthropic, upstream: ScriptedUpstream) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    await client.messages.create(
        model="a",
        max_tokens=5,
        messages=ASK,
        output_config={"effort": "high", "format": {"type": "json_schema", "schema": schema}},
    )
    sent = upstream.requests[0]
    assert sent["response_format"]["json_schema"]["schema"] == schema
    assert sent["reasoning_effort"] == "high"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("finish", "fields", "reason"),
    [("length", {}, "max_tokens"), ("content_filter", {}, "refusal"), ("stop", {"refusal": "No."}, "refusal")],
)
async def test_why_an_answer_ended(
    client: anthropic.AsyncAnthropic,
    upstream: ScriptedUpstream,
    finish: str,
    fields: dict[str, Any],
    reason: str,
    stream: bool,
) -> None:
    upstream.script(Script(finish=finish, delta=fields))
    if stream:
        async with client.messages.stream(model="a", max_tokens=5, messages=ASK) as events:
            answer = await events.get_final_message()
    else:
        answer = await client.messages.create(model="a", max_tokens=5, messages=ASK)
    assert answer.stop_reason == reason


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]"),
        ({"mcp_servers": []}, "mcp_servers"),
        ({"container": "c"}, "container"),
        ({"messages": [{"role": "user", "content": [{"type": "search_result"}]}]}, "messages[0].content[0]"),
        (said({"type": "image", "source": {"type": "url", "url": "u"}, "transformations": [{}]}), "transformations"),
        (
            said({"type": "text", "text": "a", "citations": [{"type": "char_location"}]}),
            "messages[0].content[0].citations",
        ),
        (said({"type": "text", "text": "a", "new": 1}), "messages[0].content[0].new"),
        (said({"type": "tool_result", "tool_use_id": "t", "toolset_name": "x"}), "messages[0].content[0].toolset_name"),
        (
            {
                "messages": [
                    *ASK,
                    {"role": "assistant", "content": [CALL | {"caller": {"type": "code_execution_20250825"}}]},
                ]
            },
            "messages[1].content[0].caller",
        ),
        ({"system": [{"type": "text", "text": "a", "new": 1}]}, "system[0].new"),
        ({"tools": [TOOL | {"input_examples": [{}]}]}, "tools[0].input_examples"),
        ({"tools": [TOOL | {"defer_loading": True}]}, "tools[0].defer_loading"),
        ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, "context_management.edits[0]"),
    ],
)
async def test_what_cannot_be_translated_is_refused_by_name(
    serve: Serve, upstream: ScriptedUpstream, fields: dict[str, Any], param: str
) -> None:
    gateway = await serve(upstream)
    answer = await gateway.http.post("/v1/messages", json={"model": "a", "max_tokens": 5, "messages": ASK, **fields})
    assert answer.status_code == 400
    error = answer.json()
    assert (error["type"], error["error"]["type"]) == ("error", "invalid_request_error")
    assert param in error["error"]["message"]
    assert not upstream.requests


async def test_newer_fields_that_say_nothing_are_no_reason_to_refuse(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream, arm={"capabilities": ["tools"]})
    body = {
        "model": "a",
        "max_tokens": 5,
        "tools": [TOOL | {"defer_loading": False, "allowed_callers": ["direct"]}],
        "messages": [
            *ASK,
            {
                "role": "assistant",
                "content": [{"type": "text", "text": "a", "citations": None}, CALL | {"caller": {"type": "direct"}}],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]},
        ],
    }
    assert (await gateway.http.post("/v1/messages", json=body)).status_code == 200


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (Script(status=400), anthropic.BadRequestError),
        (Script(status=429), anthropic.RateLimitError),
        (Script(status=500), anthropic.InternalServerError),
        (Script(drop=True), anthropic.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_failures_have_anthropics_shape(
    client: anthropic.AsyncAnthropic, upstream: ScriptedUpstream, script: Script, kind: type[Exception], stream: bool
) -> None:
    upstream.script(script)
    with pytest.raises(kind) as failed:
        await client.messages.create(model="a", max_tokens=5, messages=ASK, stream=stream)
    assert failed.value.body["type"] == "error"  # type: ignore[attr-defined]
    assert failed.value.request_id  # type: ignore[attr-defined]


async def test_a_stream_that_is_cut_ends_with_an_error(
    client: anthropic.AsyncAnthropic, upstream: ScriptedUpstream
) -> None:
    upstream.script(Script(cut_after=2))
    with pytest.raises(anthropic.APIStatusError, match="closed the connection"):
        async with client.messages.stream(model="a", max_tokens=5, messages=ASK) as stream:
            async for _ in stream:
                pass


async def test_auto_is_routed(serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton) -> None:
    client = sdk(await serve(upstream, triton=triton))
    raw = await client.messages.with_raw_response.create(model="auto", max_tokens=5, messages=ASK)
    assert raw.headers["x-router-model"] == "a"
    assert raw.headers["x-router-decision-id"]


async def test_tokens_are_counted_before_they_are_sent(client: anthropic.AsyncAnthropic) -> None:
    short = await client.messages.count_tokens(model="a", messages=ASK)
    long = await client.messages.count_tokens(
        model="a", messages=[{"role": "user", "content": "word " * 400}], tools=[TOOL]
    )
    assert 0 < short.input_tokens < 20 < 300 < long.input_tokens < 700
