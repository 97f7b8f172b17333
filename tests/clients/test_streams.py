"""Streams: whole ones, broken ones, and those that are left early."""

from __future__ import annotations

import asyncio
import json
import math

import pytest

from llm_router_client import AsyncRouterClient, RequestTimeoutError, RouterClient, RouterError, StreamError, Usage
from tests.clients.conftest import Connect
from tests.support.scripted_upstream import END_OF_CHUNKS, Script, ScriptedUpstream

DECISION = {
    "x-router-decision-id": "d-1",
    "x-router-model": "llama3-8b",
    "x-router-task": "chatbot",
    "x-router-reason": "policy:linucb",
    "x-router-switched": "true",
}


def frame(**fields: object) -> bytes:
    return b"data: " + json.dumps(fields, ensure_ascii=False).encode() + b"\n\n"


async def test_the_decision_is_known_before_the_first_chunk(server: ScriptedUpstream) -> None:
    server.script(Script(first_delay=math.inf, headers=DECISION))
    async with AsyncRouterClient(server.base_url) as client, await client.stream("hi") as stream:
        told = stream.decision
    assert (told.decision_id, told.model, told.task, told.reason) == ("d-1", "llama3-8b", "chatbot", "policy:linucb")
    assert told.switched


@pytest.mark.parametrize("text", [["a\u2028b", "\x85c"], ["日本", "語"], ["\U0001f600"], [""]])
@pytest.mark.parametrize("split", [0, 1, 7])
async def test_text_arrives_as_it_was_sent(
    connect: Connect, server: ScriptedUpstream, text: list[str], split: int
) -> None:
    frames = [frame(choices=[{"index": 0, "delta": {"content": part}}]) for part in text]
    server.script(Script(frames=[*frames, END_OF_CHUNKS], split=split))
    assert await connect(server.base_url).text("hi") == "".join(text)


async def test_chunks_tell_finish_reason_and_usage_and_keep_what_they_were(server: ScriptedUpstream) -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    server.script(
        Script(
            frames=[
                frame(choices=[{"index": 1, "delta": {"content": "other choice"}}]),
                frame(choices=[{"index": 0, "delta": {"tool_calls": [call]}}]),
                frame(choices=[{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]),
                frame(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 3}),
                END_OF_CHUNKS,
            ]
        )
    )
    async with AsyncRouterClient(server.base_url) as client, await client.stream("hi") as stream:
        chunks = [chunk async for chunk in stream]
    assert [chunk.text for chunk in chunks] == ["", "", "", ""]
    assert chunks[1].raw["choices"][0]["delta"]["tool_calls"] == [call]
    assert [chunk.finish_reason for chunk in chunks] == ["", "", "tool_calls", ""]
    assert [chunk.usage for chunk in chunks] == [None, None, None, Usage(7, 3)]


async def test_an_error_in_mid_stream_is_told_after_the_text_before_it(server: ScriptedUpstream) -> None:
    error = {"message": "upstream fell silent", "type": "timeout_error", "code": "timeout_idle", "param": None}
    server.script(Script(frames=[frame(choices=[{"delta": {"content": "Hel"}}]), frame(error=error)]))
    async with AsyncRouterClient(server.base_url) as client, await client.stream("hi") as stream:
        assert (await anext(stream)).text == "Hel"
        with pytest.raises(StreamError, match="upstream fell silent") as told:
            await anext(stream)
    assert (told.value.code, told.value.type) == ("timeout_idle", "timeout_error")


@pytest.mark.parametrize("garbage", [b"data: {\n\n", b"data: []\n\n", b"data: 1\n\n", b'data: {"choices": 3}\n\n'])
async def test_garbage_is_a_typed_error(connect: Connect, server: ScriptedUpstream, garbage: bytes) -> None:
    server.script(Script(frames=[garbage, END_OF_CHUNKS]))
    with pytest.raises(StreamError, match="can't be read"):
        await connect(server.base_url).text("hi")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"choices": []}', b'{"choices": [{}]}'])
async def test_an_answer_that_is_none_is_a_typed_error(connect: Connect, server: ScriptedUpstream, body: bytes) -> None:
    server.script(Script(body=body))
    with pytest.raises(RouterError, match="can't be read"):
        await connect(server.base_url).chat("hi")


async def test_leaving_a_stream_cancels_the_request(connect: Connect, server: ScriptedUpstream) -> None:
    server.script(Script(text=["a"] * 10, hang_after=4))
    await connect(server.base_url).leave("hi", after=2)
    await server.wait_cancelled()


async def test_dropping_a_sync_stream_cancels_the_request(server: ScriptedUpstream) -> None:
    server.script(Script(text=["a"] * 10, hang_after=4))

    def work() -> None:
        for _ in client.stream("hi"):
            break

    with RouterClient(server.base_url) as client:
        await asyncio.to_thread(work)
        await server.wait_cancelled()


@pytest.mark.parametrize("script", [Script(first_delay=math.inf), Script(latency=math.inf), Script(hang_after=2)])
async def test_cancelling_the_task_cancels_the_request(server: ScriptedUpstream, script: Script) -> None:
    server.script(script)
    async with AsyncRouterClient(server.base_url) as client:

        async def read() -> None:
            async with await client.stream("hi") as stream:
                await stream.text()

        task = asyncio.create_task(read())
        await server.wait_running()
        task.cancel()
        await server.wait_cancelled()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    "script",
    [Script(latency=math.inf), Script(hang_after=2), Script(text=["a"] * 1000, delay=0.01)],
    ids=["before the answer", "silence", "an answer without end"],
)
async def test_the_timeout_limits_the_whole_answer(connect: Connect, server: ScriptedUpstream, script: Script) -> None:
    server.script(script)
    with pytest.raises(RequestTimeoutError, match=r"0\.3 s"):
        await connect(server.base_url, timeout=0.3).text("hi")
    await server.wait_cancelled()
    assert len(server.requests) == 1


async def test_a_closed_stream_gives_no_more(server: ScriptedUpstream) -> None:
    async with AsyncRouterClient(server.base_url) as client:
        stream = await client.stream("hi")
        await anext(stream)
        await stream.aclose()
        assert await stream.text() == ""
