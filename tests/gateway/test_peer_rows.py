"""What other routers do badly, on the two APIs beside chat; leaving is in test_disconnects.py, and chat in test_streaming.py."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import Running, Serve
from tests.gateway.test_python_sdk import frames
from tests.gateway.test_streaming import outcome
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import END_OF_CHUNKS, Script, ScriptedUpstream

PARAMETERS = {"type": "object", "properties": {"x": {"type": "integer"}}}


class Responses:
    """OpenAI's."""

    path = "/v1/responses"
    end, failure = "response.completed", "response.failed"
    tool: Mapping[str, Any] = {"type": "function", "name": "f", "parameters": PARAMETERS}

    def body(self, said: Any, **fields: Any) -> dict[str, Any]:
        return {"model": "a", "input": said, **fields}

    def message(self, text: str, image: str) -> list[dict[str, Any]]:
        parts = [{"type": "input_text", "text": text}, {"type": "input_image", "image_url": image}]
        return [{"role": "user", "content": parts}]

    def text(self, answer: Mapping[str, Any]) -> str:
        return "".join(part["text"] for item in answer["output"] for part in item.get("content", ()))

    def streamed(self, events: list[dict[str, Any]]) -> str:
        return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")

    def calls(self, events: list[dict[str, Any]]) -> list[tuple[str, Any]]:
        items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
        return [(item["name"], json.loads(item["arguments"])) for item in items if item["type"] == "function_call"]

    def usage(self, answer: Mapping[str, Any]) -> tuple[int, int]:
        return answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]

    def error(self, body: Mapping[str, Any]) -> str:
        assert body["error"].keys() == {"message", "type", "param", "code"}
        return str(body["error"]["message"])

    def told(self, event: Mapping[str, Any]) -> str:
        return str(event["response"]["error"]["message"])


class Messages:
    """Anthropic's."""

    path = "/v1/messages"
    end, failure = "message_stop", "error"
    tool: Mapping[str, Any] = {"name": "f", "input_schema": PARAMETERS}

    def body(self, said: Any, **fields: Any) -> dict[str, Any]:
        messages = [{"role": "user", "content": said}] if isinstance(said, str) else said
        return {"model": "a", "max_tokens": 50, "messages": messages, **fields}

    def message(self, text: str, image: str) -> list[dict[str, Any]]:
        source = {"type": "base64", "media_type": "image/png", "data": image.partition(",")[2]}
        return [{"role": "user", "content": [{"type": "text", "text": text}, {"type": "image", "source": source}]}]

    def text(self, answer: Mapping[str, Any]) -> str:
        return "".join(block.get("text", "") for block in answer["content"])

    def streamed(self, events: list[dict[str, Any]]) -> str:
        deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
        return "".join(delta.get("text", "") for delta in deltas)

    def calls(self, events: list[dict[str, Any]]) -> list[tuple[str, Any]]:
        names = {
            event["index"]: event["content_block"]["name"]
            for event in events
            if event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use"
        }
        pieces = dict.fromkeys(names, "")
        for event in events:
            if event["type"] == "content_block_delta" and event["index"] in names:
                pieces[event["index"]] += event["delta"]["partial_json"]
        return [(names[index], json.loads(text)) for index, text in pieces.items()]

    def usage(self, answer: Mapping[str, Any]) -> tuple[int, int]:
        return answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]

    def error(self, body: Mapping[str, Any]) -> str:
        assert (body["type"], body["error"].keys()) == ("error", {"type", "message"})
        return str(body["error"]["message"])

    def told(self, event: Mapping[str, Any]) -> str:
        return self.error(event)


Api = Responses | Messages


@pytest.fixture(params=[Responses, Messages])
def api(request: pytest.FixtureRequest) -> Api:
    made: Api = request.param()
    return made


async def whole(gateway: Running, api: Api, said: Any = "hi", **fields: Any) -> httpx.Response:
    return await gateway.http.post(api.path, json=api.body(said, **fields))


async def stream(gateway: Running, api: Api, said: Any = "hi", **fields: Any) -> list[dict[str, Any]]:
    answer = await whole(gateway, api, said, stream=True, **fields)
    assert answer.status_code == 200, answer.text
    lines = (line[6:] for line in answer.text.split("\n") if line.startswith("data: "))
    return [json.loads(line) for line in lines if line != "[DONE]"]


# Accounting: LiteLLM #14457, #37992, Envoy AI Gateway #2563


async def test_an_explicit_zero_is_a_number(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, api: Api
) -> None:
    upstream.script(Script(text=[], usage={"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7}))
    gateway = await serve(upstream, triton=triton)
    assert api.usage((await whole(gateway, api)).json()) == (7, 0)
    kept = await outcome(triton)
    assert (kept["usage_known"], kept["usage"]["completion"]) == (True, 0)


async def test_the_end_comes_though_the_upstream_stays_open(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, api: Api
) -> None:
    upstream.script(Script(linger=math.inf))
    gateway = await serve(upstream, triton=triton)
    async with asyncio.timeout(20):
        assert (await stream(gateway, api))[-1]["type"] == api.end
    assert (await outcome(triton))["usage"]["completion"] == 3


# Retries and fallbacks: LiteLLM #34627, #32835, TensorZero #7373


@pytest.mark.parametrize("streamed", [False, True])
async def test_fallback_happens_only_before_the_first_byte(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton, api: Api, streamed: bool
) -> None:
    upstream.script(Script(status=500))
    gateway = await serve(upstream, second, triton=triton)
    answer = await whole(gateway, api, model="auto", stream=streamed)
    assert (answer.status_code, answer.headers["x-router-model"]) == (200, "b")
    assert (await outcome(triton))["served"] == "b"


@pytest.mark.parametrize(
    "script",
    [
        Script(cut_after=3),  # a dying upstream
        Script(hang_after=3),  # a hung one
        Script(
            frames=[frames({"content": "a"}, finish="stop")[0], b'data: {"error":{"message":"out of memory"}}\n\n'],
            delay=0.05,
        ),
    ],
    ids=["cut", "silence", "error"],
)
async def test_a_failure_in_mid_stream_is_an_error_and_no_second_answer(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton, api: Api, script: Script
) -> None:
    upstream.script(script)
    gateway = await serve(upstream, second, triton=triton, timeouts={"idle": 0.3})
    events = await stream(gateway, api, model="auto")
    assert events[-1]["type"] == api.failure
    assert api.told(events[-1])
    assert api.end not in [event["type"] for event in events]
    assert not second.requests
    assert (await outcome(triton))["status"] != 200


async def test_a_named_model_never_falls_back(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, api: Api
) -> None:
    upstream.script(Script(status=500))
    gateway = await serve(upstream, second)
    answer = await whole(gateway, api)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (502, "false")
    assert api.error(answer.json())
    assert not second.requests


@pytest.mark.parametrize("streamed", [False, True])
async def test_429_stays_429_through_fallback_with_retry_after(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton, api: Api, streamed: bool
) -> None:
    for server in (upstream, second):
        server.script(Script(status=429, headers={"retry-after": "7"}))
    gateway = await serve(upstream, second, triton=triton)
    answer = await whole(gateway, api, model="auto", stream=streamed)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.headers["x-should-retry"] == "false"
    assert answer.json()["error"]["type"] == "rate_limit_error"


# Bytes: Plano #980, NVIDIA llm-router v1, Portkey #1629, AstrBot #6661, agno #8880


@pytest.mark.parametrize("size", [1, 3, 64])
async def test_lines_and_characters_may_be_split_anywhere(
    serve: Serve, upstream: ScriptedUpstream, api: Api, size: int
) -> None:
    upstream.script(Script(text=["日本", "語🎉", "é"], split=size))
    gateway = await serve(upstream)
    events = await stream(gateway, api)
    assert (api.streamed(events), events[-1]["type"]) == ("日本語🎉é", api.end)


async def test_chunks_without_choices_are_no_content(serve: Serve, upstream: ScriptedUpstream, api: Api) -> None:
    empty = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    first, *rest = frames({"content": "Hello"}, finish="stop")[:-1]
    chunks = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in (empty, {**empty, "usage": usage})]
    upstream.script(Script(frames=[chunks[0], first, chunks[0], *rest, chunks[1], END_OF_CHUNKS]))
    gateway = await serve(upstream)
    events = await stream(gateway, api)
    assert api.streamed(events) == "Hello"
    last = events[-1]["response"] if api.path == Responses.path else events[-2]
    assert api.usage(last)[1] == 3


async def test_tool_calls_come_whole_though_their_pieces_lack_id_and_index(
    serve: Serve, upstream: ScriptedUpstream, api: Api
) -> None:
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
    pieces = [first, {"index": 0, "function": {"arguments": '{"x":'}}, {"function": {"arguments": "1}"}}]
    upstream.script(Script(frames=frames(*({"tool_calls": [piece]} for piece in pieces), finish="tool_calls")))
    gateway = await serve(upstream, arm={"capabilities": ["tools"]})
    assert api.calls(await stream(gateway, api, tools=[api.tool])) == [("f", {"x": 1})]


# Time limits: TensorZero's timeouts, production-stack #749


@pytest.mark.parametrize(
    ("limit", "script", "streamed"),
    [
        ("first_token", Script(first_delay=math.inf), True),  # headers, then silence
        ("total", Script(latency=math.inf), False),
    ],
)
async def test_limits_before_the_first_byte_are_504(
    serve: Serve, upstream: ScriptedUpstream, api: Api, limit: str, script: Script, streamed: bool
) -> None:
    upstream.script(script)
    gateway = await serve(upstream, timeouts={limit: 0.2})
    answer = await whole(gateway, api, stream=streamed)
    assert answer.status_code == 504
    assert limit in api.error(answer.json())


async def test_a_hung_upstream_does_not_starve_the_others(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, api: Api
) -> None:
    upstream.script(Script(latency=math.inf))
    gateway = await serve(upstream, second, arm={"max_concurrency": 2, "max_queue": 2})
    hung = [asyncio.create_task(whole(gateway, api)) for _ in range(4)]
    await upstream.wait_running(2)
    assert (await whole(gateway, api, model="b")).status_code == 200
    full = await whole(gateway, api)
    assert (full.status_code, int(full.headers["retry-after"]) >= 1) == (429, True)
    for task in hung:
        task.cancel()
    await asyncio.gather(*hung, return_exceptions=True)


# Requests: NVIDIA llm-router v1 classifies "" silently, and panics on multi-byte text over a limit


async def test_bodies_of_a_megabyte_with_parts_of_any_kind(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, api: Api
) -> None:
    gateway = await serve(upstream, triton=triton, arm={"capabilities": ["vision"], "context_window": 2_000_000})
    text, image = "日本語🎉" * 80_000, "data:image/png;base64,AAAA"  # over a megabyte of UTF-8
    answer = await whole(gateway, api, api.message(text, image), model="auto")
    assert (answer.status_code, api.text(answer.json())) == (200, "Hello, world")
    (sent,) = upstream.requests[0]["messages"]
    assert sent["content"] == [
        {"type": "text", "text": text},
        {"type": "image_url", "image_url": {"url": image}},
    ]
    (asked,) = triton.asked  # the router reads the ends of it, cut between characters
    assert "日本語🎉" in json.dumps(asked["request"], ensure_ascii=False)


async def test_every_response_has_the_requests_id(serve: Serve, upstream: ScriptedUpstream, api: Api) -> None:
    gateway = await serve(upstream)
    bad = api.body("hi")
    del bad["model"]
    for answer in (
        await whole(gateway, api),
        await whole(gateway, api, stream=True),
        await whole(gateway, api, model="none"),
        await gateway.http.post(api.path, json=bad),
        await gateway.http.post(api.path, content=b"{"),
        await gateway.http.get(api.path + "/there/is/none"),
    ):
        assert answer.headers["x-request-id"] == answer.headers["request-id"]
        if answer.status_code not in (200, 404):
            assert api.error(answer.json())
