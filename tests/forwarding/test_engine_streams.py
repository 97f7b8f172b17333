"""Streams: what the caller gets of a good, a bad and a broken upstream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
import pytest

from router_backend.core.errors import CUT
from router_backend.core.records import Usage
from router_backend.forwarding.answers import WholeAnswer
from router_backend.forwarding.engine import Engine
from router_backend.forwarding.failure import ForwardError
from tests.support.asking import ask, payloads, text_of
from tests.support.scripted_upstream import Script, ScriptedUpstream

EngineFor = Callable[..., Engine]


async def test_a_stream_arrives_complete_under_the_arms_name(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(text=["日本", "語 ", "🙂"]))
    answer = await engine_for(upstream).forward(ask("a", stream=True))
    chunks = await payloads(answer)
    assert text_of(chunks) == "日本語 🙂"
    assert chunks[-1] == "[DONE]"
    for chunk in chunks[:-1]:
        assert chunk["model"] == "a"
        assert (chunk["id"], chunk["created"]) == ("chatcmpl-scripted", 1700000000)
        assert chunk["system_fingerprint"] == "fp_scripted"
        assert "usage" not in chunk
    progress = answer.progress
    assert progress.usage == Usage(prompt=7, completion=3)
    assert progress.usage_known
    assert progress.finish_reason == "stop"
    assert progress.first_token is not None
    assert progress.latency is not None
    assert progress.error is None


async def test_the_usage_chunk_is_passed_on_when_asked_for(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    answer = await engine_for(upstream).forward(ask("a", stream=True, stream_options={"include_usage": True}))
    chunks = await payloads(answer)
    assert chunks[-2]["choices"] == []
    assert chunks[-2]["usage"]["total_tokens"] == 10
    assert all(chunk["usage"] is None for chunk in chunks[:-2])


@pytest.mark.parametrize("split", [1, 2, 3, 7, 64])
async def test_bytes_split_anywhere(engine_for: EngineFor, upstream: ScriptedUpstream, split: int) -> None:
    upstream.script(Script(text=["日本", "語 ", "🙂"], split=split))
    chunks = await payloads(await engine_for(upstream).forward(ask("a", stream=True)))
    assert text_of(chunks) == "日本語 🙂"
    assert chunks[-1] == "[DONE]"


async def test_frames_of_one_read_are_one_piece(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    content = b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
    upstream.script(Script(frames=[content, content * 50, b"data: [DONE]\n\n"], delay=0.05))
    answer = await engine_for(upstream).forward(ask("a", stream=True))
    pieces = [piece async for piece in answer.frames()]
    assert [piece.count(b"data: ") for piece in pieces] == [1, 50, 1]


async def test_a_slow_reader_holds_the_upstream_back(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    text = "x" * 64 * 1024
    upstream.script(Script(text=[text] * 1000))
    answer = await engine_for(upstream).forward(ask("a", stream=True))
    pieces = answer.frames()
    await anext(pieces)
    await asyncio.sleep(0.3)
    held = upstream.written
    await asyncio.sleep(0.3)
    assert upstream.written == held  # it waits, and nothing piles up here
    assert held < 32 * 1024 * 1024
    await pieces.aclose()  # type: ignore[attr-defined]
    await upstream.wait_cancelled()


async def test_chunks_are_json_without_framing(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    answer = await engine_for(upstream).forward(ask("a", stream=True))
    chunks = [orjson.loads(chunk) async for chunk in answer.chunks()]
    assert text_of(chunks) == "Hello, world"


async def test_a_cut_stream_ends_with_an_error_frame_and_without_done(
    engine_for: EngineFor, upstream: ScriptedUpstream
) -> None:
    upstream.script(Script(cut_after=3, delay=0.01))
    answer = await engine_for(upstream).forward(ask("a", stream=True))
    chunks = await payloads(answer)
    assert text_of(chunks) == "Hello, "
    assert set(chunks[-1]) == {"error"}
    assert set(chunks[-1]["error"]) == {"message", "type", "param", "code"}
    assert answer.progress.error is CUT
    assert answer.progress.usage == Usage(completion=2)  # an estimate, which usage_known says
    assert not answer.progress.usage_known


async def test_a_stream_that_just_stops_is_an_error(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(done=False, finish=None))
    chunks = await payloads(await engine_for(upstream).forward(ask("a", stream=True)))
    assert chunks[-1]["error"]["code"] == "cut"


async def test_a_finished_stream_without_done_gets_one(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(done=False))
    answer = await engine_for(upstream).forward(ask("a", stream=True))
    assert (await payloads(answer))[-1] == "[DONE]"
    assert answer.progress.usage_known


@pytest.mark.parametrize(
    "garbage", [b"data: {not json\n\n", b'data: {"error":{"message":"boom","code":500}}\n\n', b"data: \xff\xff\n\n"]
)
async def test_garbage_or_an_error_in_mid_stream_is_an_error_frame(
    engine_for: EngineFor, upstream: ScriptedUpstream, garbage: bytes
) -> None:
    good = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
    upstream.script(Script(frames=[good, garbage, good, b"data: [DONE]\n\n"], delay=0.01))
    answer = await engine_for(upstream).forward(ask("a", stream=True))
    chunks = await payloads(answer)
    assert len(chunks) == 2
    assert text_of(chunks) == "Hi"
    assert set(chunks[1]["error"]) == {"message", "type", "param", "code"}
    assert answer.progress.error
    await upstream.wait_running(0)  # the rest isn't read


async def test_good_chunks_before_garbage_in_one_read_are_kept(
    engine_for: EngineFor, upstream: ScriptedUpstream
) -> None:
    good = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
    upstream.script(Script(frames=[good, good + good + b"data: garbage\n\n"], delay=0.01))
    chunks = await payloads(await engine_for(upstream).forward(ask("a", stream=True)))
    assert text_of(chunks) == "HiHiHi"
    assert "error" in chunks[-1]


async def test_tool_calls_thinking_and_unknown_fields_pass(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    calls = [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    upstream.script(Script(text=[""], delta={"content": None, "tool_calls": calls, "reasoning_content": "hm"}))
    chunks = await payloads(await engine_for(upstream).forward(ask("a", stream=True)))
    assert chunks[1]["choices"][0]["delta"] == {"content": None, "tool_calls": calls, "reasoning_content": "hm"}


async def test_accounting_is_complete_at_done_before_the_upstream_ends(
    engine_for: EngineFor, upstream: ScriptedUpstream
) -> None:
    upstream.script(Script(linger=30))
    answer = await engine_for(upstream).forward(ask("a", stream=True))
    async for piece in answer.frames():
        if b"[DONE]" in piece:
            break  # as SDKs do
    assert answer.progress.usage == Usage(prompt=7, completion=3)
    assert answer.progress.latency is not None
    await answer.aclose()
    assert answer.progress.status == 200


async def test_connections_are_reused_after_streams_and_bodies(
    engine_for: EngineFor, upstream: ScriptedUpstream
) -> None:
    engine = engine_for(upstream)
    for stream in (True, False, True, True, False):
        answer = await engine.forward(ask("a", stream=stream))
        if stream:
            await payloads(answer)
        await upstream.wait_running(0)
        await asyncio.sleep(0.01)
    assert len(upstream.clients) == 1


async def test_a_body_that_is_not_streamed(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    answer = await engine_for(upstream).forward(ask("a"))
    assert isinstance(answer, WholeAnswer)
    body = orjson.loads(answer.body)
    assert body["model"] == "a"
    assert body["choices"][0]["message"]["content"] == "Hello, world"
    assert answer.progress.finish_reason == "stop"


@pytest.mark.parametrize(
    "script",
    [
        Script(body=b"<html>"),
        Script(body=b'{"error":{"message":"boom"}}'),
        Script(cut_after=1),
        Script(drop=True),
    ],
    ids=["garbage", "error with 200", "cut", "dropped"],
)
async def test_a_broken_body_is_a_502(engine_for: EngineFor, upstream: ScriptedUpstream, script: Script) -> None:
    upstream.script(script)
    with pytest.raises(ForwardError) as error:
        await engine_for(upstream).forward(ask("a"))
    assert error.value.error.status == 502
    assert len(upstream.requests) == 2  # it was worth a second try


async def test_json_instead_of_a_stream_is_a_failure(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(headers={"content-type": "application/json"}, frames=[b'{"choices":[]}']))
    with pytest.raises(ForwardError) as error:
        await engine_for(upstream).forward(ask("a", stream=True))
    assert error.value.error.code == "invalid_response"


async def test_completions_and_embeddings_pass_through(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    engine = engine_for(upstream)
    answer = await engine.forward(ask("a", endpoint="completions", prompt="x", stream=True))
    chunks = await payloads(answer)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks[:-1]) == "Hello, world"
    answer = await engine.forward(ask("a", endpoint="embeddings", input="x"))
    body = orjson.loads(answer.body)
    assert body["data"][0]["embedding"] == [0.25, -0.5]
    assert body["model"] == "a"
    assert "stream_options" not in upstream.requests[-1]
