"""OpenAI's Responses API: what its SDK sends and gets, against its published document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pydantic
import pytest

from tests.gateway.conftest import Running, Serve
from tests.gateway.test_messages import CALLS, USAGE
from tests.gateway.test_python_sdk import frames
from tests.gateway.test_requests import check_error
from tests.support.openai_schema import RESPONSES, check_body, check_events
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream

TOOL: Any = {
    "type": "function",
    "name": "weather",
    "description": "Today's",
    "parameters": {"type": "object"},
    "strict": False,
}
TURNS = [(at, CALLS[at]["function"]["arguments"], half) for half in (slice(0, 5), slice(5, None)) for at in (0, 1)]  # type: ignore[index]
STREAMED_CALLS = [
    {"tool_calls": [piece]}
    for piece in [
        *({**call, "index": at, "function": {"name": "weather", "arguments": ""}} for at, call in enumerate(CALLS)),
        *({"index": at, "function": {"arguments": text[half]}} for at, text, half in TURNS),  # type: ignore[index]
    ]
]


def sdk(gateway: Running, api_key: str = "any") -> openai.AsyncOpenAI:
    """Strict: an answer that isn't what the SDK's types say is an error."""
    return openai.AsyncOpenAI(
        base_url=f"{gateway.url}/v1", api_key=api_key, max_retries=0, _strict_response_validation=True
    )


@pytest.fixture
async def client(serve: Serve, upstream: ScriptedUpstream) -> AsyncIterator[openai.AsyncOpenAI]:
    async with sdk(await serve(upstream)) as client:
        yield client


CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}


async def ask(gateway: Running, **fields: Any) -> list[dict[str, Any]]:
    """A whole answer and a streamed one, both checked: the response, and the last event's."""
    body = {"model": "a", "input": "hi", **fields}
    whole = await gateway.http.post("/v1/responses", json=body)
    assert whole.status_code == 200, whole.text
    check_body(whole.json(), RESPONSES)
    streamed = await gateway.http.post("/v1/responses", json={**body, "stream": True})
    events = check_events(streamed.text, RESPONSES)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return [whole.json(), events[-1]["response"]]


async def test_an_answer(serve: Serve, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(usage=USAGE, delta={"reasoning_content": "Well."}))
    gateway = await serve(upstream)
    for response in await ask(gateway, instructions="Be brief.", max_output_tokens=50, reasoning={"effort": "low"}):
        assert [item["type"] for item in response["output"]] == ["reasoning", "message"]
        assert response["output"][0]["content"][0]["text"] == "Well."
        assert response["output"][1]["content"][0]["text"] == "Hello, world"
        assert (response["status"], response["model"]) == ("completed", "a")
        assert response["usage"] == {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
            "output_tokens": 20,
            "output_tokens_details": {"reasoning_tokens": 5},
            "total_tokens": 120,
        }
    for sent in upstream.requests:
        assert sent["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
        assert (sent["max_completion_tokens"], sent["reasoning_effort"]) == (50, "low")


async def test_parallel_tool_calls(serve: Serve, upstream: ScriptedUpstream) -> None:
    whole = Script(text=["Let me see."], delta={"tool_calls": CALLS}, finish="tool_calls")
    upstream.script(
        whole,
        Script(frames=frames({"content": "Let me see."}, *STREAMED_CALLS, finish="tool_calls")),
    )
    gateway = await serve(upstream)
    for response in await ask(gateway, tools=[TOOL], tool_choice="required"):
        calls = [item for item in response["output"] if item["type"] == "function_call"]
        assert [(call["call_id"], call["name"], call["arguments"]) for call in calls] == [
            ("call_1", "weather", '{"city": "Oslo"}'),
            ("call_2", "weather", '{"city": "Kyoto"}'),
        ]
    function = {name: TOOL[name] for name in ("name", "description", "parameters", "strict")}
    assert upstream.requests[0]["tools"] == [{"type": "function", "function": function}]


async def test_custom_tools(serve: Serve, upstream: ScriptedUpstream) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "patch", "arguments": '{"input": "*** Begin"}'}}
    upstream.script(
        Script(text=[], delta={"tool_calls": [call]}, finish="tool_calls"),
        Script(frames=frames({"tool_calls": [{**call, "index": 0}]}, finish="tool_calls")),
    )
    gateway = await serve(upstream)
    for response in await ask(gateway, tools=[{"type": "custom", "name": "patch"}]):
        assert (response["output"][0]["type"], response["output"][0]["input"]) == ("custom_tool_call", "*** Begin")


async def test_tools_of_a_namespace(serve: Serve, upstream: ScriptedUpstream) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "home__weather", "arguments": "{}"}}
    upstream.script(
        Script(text=[], delta={"tool_calls": [call]}, finish="tool_calls"),
        Script(frames=frames({"tool_calls": [{**call, "index": 0}]}, finish="tool_calls")),
    )
    space = {"type": "namespace", "name": "home", "description": "At home.", "tools": [TOOL]}
    before = [
        {"role": "user", "content": "hi"},
        {"type": "function_call", "call_id": "b", "namespace": "home", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "b", "output": "rain"},
    ]
    for response in await ask(await serve(upstream), tools=[space], input=before):
        called = response["output"][0]
        assert (called["type"], called["namespace"], called["name"]) == ("function_call", "home", "weather")
    sent = upstream.requests[0]
    assert (sent["tools"][0]["function"]["name"], sent["tools"][0]["function"]["description"]) == (
        "home__weather",
        "At home.\nToday's",
    )
    assert sent["messages"][1]["tool_calls"][0]["function"]["name"] == "home__weather"


async def test_what_was_said_before_reaches_the_model(client: openai.AsyncOpenAI, upstream: ScriptedUpstream) -> None:
    image = "data:image/png;base64,aGk="
    said: list[Any] = [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": image, "detail": "low"},
                {"type": "input_text", "text": "What?"},
            ],
        },
        {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "Look."}]},
        {
            "type": "message",
            "id": "m",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Wait.", "annotations": []}],
        },
        {"type": "function_call", "call_id": "t1", "name": "weather", "arguments": "{}"},
        {"type": "function_call", "call_id": "t2", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "t1", "output": "rain"},
        {"type": "function_call_output", "call_id": "t2", "output": [{"type": "input_image", "image_url": image}]},
        {"role": "user", "content": "So?"},
    ]
    await client.responses.create(model="a", input=said, tools=[TOOL], store=False, prompt_cache_key="k")
    sent = upstream.requests[0]
    assert [m["role"] for m in sent["messages"]] == ["system", "user", "assistant", "tool", "tool", "user", "user"]
    turn = sent["messages"][2]
    assert (turn["content"], turn["reasoning_content"]) == ("Wait.", "Look.")
    assert [call["id"] for call in turn["tool_calls"]] == ["t1", "t2"]
    assert sent["messages"][1]["content"][0] == {"type": "image_url", "image_url": {"url": image, "detail": "low"}}
    assert sent["prompt_cache_key"] == "k"


class Answer(pydantic.BaseModel):
    n: int


async def test_the_sdks_helpers(client: openai.AsyncOpenAI, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(text=['{"n"', ": 4}"]))
    parsed = await client.responses.parse(model="a", input="hi", text_format=Answer)
    assert parsed.output_parsed == Answer(n=4)
    async with client.responses.stream(model="a", input="hi", text_format=Answer) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert final.output_parsed == Answer(n=4)
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    form = upstream.requests[0]["response_format"]
    assert (form["type"], form["json_schema"]["name"], form["json_schema"]["strict"]) == ("json_schema", "Answer", True)


@pytest.mark.parametrize(
    ("script", "status", "reason"),
    [
        (Script(finish="length"), "incomplete", "max_output_tokens"),
        (Script(finish="content_filter"), "incomplete", "content_filter"),
        (Script(text=[""], delta={"refusal": "No."}), "completed", None),
        (Script(text=[""]), "completed", None),
    ],
)
async def test_why_an_answer_ended(
    serve: Serve, upstream: ScriptedUpstream, script: Script, status: str, reason: str | None
) -> None:
    upstream.script(script)
    for response in await ask(await serve(upstream)):
        assert response["status"] == status
        assert (response["incomplete_details"] or {}).get("reason") == reason
        if script.delta:
            assert response["output"][-1]["content"] == [{"type": "refusal", "refusal": "No."}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"store": True}, "store"),
        ({"background": True}, "background"),
        ({"conversation": "c"}, "conversation"),
        ({"truncation": "auto"}, "truncation"),
        ({"include": ["file_search_call.results"]}, "include[0]"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
        ({"tools": [{"type": "custom", "name": "p", "format": {"type": "grammar"}}]}, "tools[0].format"),
        (
            {"tools": [{"type": "function", "name": "f", "parameters": {}, "defer_loading": True}]},
            "tools[0].defer_loading",
        ),
        ({"input": [{**CALL, "async": True}]}, "input[0].async"),
        ({"input": [{**CALL, "caller": {"type": "program"}}]}, "input[0].caller"),
        ({"input": [{"role": "user", "content": "hi", "new": 1}]}, "input[0].new"),
        (
            {"input": [{"role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": [{}]}]}]},
            "input[0].content[0].annotations",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "u", "new": 1}]}]},
            "input[0].content[0].new",
        ),
        ({"moderation": {"type": "auto"}}, "moderation"),
        ({"max_tool_calls": 3}, "max_tool_calls"),
    ],
)
async def test_what_cannot_be_translated_is_refused_by_name(
    serve: Serve, upstream: ScriptedUpstream, fields: dict[str, Any], param: str
) -> None:
    await refused(serve, upstream, fields, param)


@pytest.mark.parametrize(
    "fields",
    [
        {"input": [{**CALL, "async": False, "caller": {"type": "direct"}, "status": "completed"}]},
        {"input": [{"role": "assistant", "content": "a", "phase": "commentary"}]},
        {"prompt_cache_options": {"mode": "explicit"}},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "a", "prompt_cache_breakpoint": {}}]}]},
    ],
)
async def test_newer_fields_that_change_no_answer_are_no_reason_to_refuse(
    serve: Serve, upstream: ScriptedUpstream, fields: dict[str, Any]
) -> None:
    gateway = await serve(upstream)
    answer = await gateway.http.post("/v1/responses", json={"model": "a", "input": "hi", **fields})
    assert answer.status_code == 200, answer.text


async def refused(serve: Serve, upstream: ScriptedUpstream, fields: dict[str, Any], param: str) -> None:
    gateway = await serve(upstream)
    answer = await gateway.http.post("/v1/responses", json={"model": "a", "input": "hi", **fields})
    assert check_error(answer, 400)["param"] == param
    assert not upstream.requests


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (Script(status=400), openai.BadRequestError),
        (Script(status=429), openai.RateLimitError),
        (Script(drop=True), openai.InternalServerError),
    ],
)
async def test_failures(
    client: openai.AsyncOpenAI, upstream: ScriptedUpstream, script: Script, kind: type[Exception], stream: bool
) -> None:
    upstream.script(script)
    with pytest.raises(kind):
        await client.responses.create(model="a", input="hi", stream=stream)


async def test_a_stream_that_is_cut_ends_as_failed(serve: Serve, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(cut_after=2))
    gateway = await serve(upstream)
    streamed = await gateway.http.post("/v1/responses", json={"model": "a", "input": "hi", "stream": True})
    last = check_events(streamed.text, RESPONSES)[-1]
    assert (last["type"], last["response"]["error"]["code"]) == ("response.failed", "server_error")


async def test_auto_is_routed(serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton) -> None:
    client = sdk(await serve(upstream, triton=triton))
    raw = await client.responses.with_raw_response.create(model="auto", input="hi", metadata={"router_models": "a"})
    assert raw.headers["x-router-model"] == "a"
    assert "metadata" not in upstream.requests[0]
