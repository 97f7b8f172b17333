"""A client that leaves cancels the upstream call at once, at any point, and what is known is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from router_backend.core.records import Usage
from router_backend.forwarding.answers import StreamedAnswer
from router_backend.forwarding.engine import Engine
from router_backend.forwarding.observer import Observer
from router_backend.forwarding.progress import Progress
from router_backend.forwarding.request import ForwardRequest
from tests.support.asking import ask
from tests.support.scripted_upstream import Script, ScriptedUpstream

EngineFor = Callable[..., Engine]
FOREVER = float("inf")
AT_ONCE = 0.1
"""Seconds: the promise to users, with which the upstream's notice is awaited."""


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("script", [Script(latency=FOREVER), Script(first_delay=FOREVER)])
async def test_before_the_first_byte(
    engine_for: EngineFor, upstream: ScriptedUpstream, stream: bool, script: Script
) -> None:
    upstream.script(script)
    task = asyncio.create_task(engine_for(upstream).forward(ask("a", stream=stream)))
    await upstream.wait_running(1)
    task.cancel()
    await upstream.wait_cancelled(within=AT_ONCE)
    with pytest.raises(asyncio.CancelledError):
        await task


async def _consume(answer: StreamedAnswer, got: list[bytes]) -> None:
    async for piece in answer.frames():
        got.append(piece)


@pytest.mark.parametrize("how", ["aclose", "cancel", "break"])
async def test_mid_stream(engine_for: EngineFor, upstream: ScriptedUpstream, how: str) -> None:
    upstream.script(Script(hang_after=3))
    answer = await engine_for(upstream).forward(ask("a", stream=True))
    got: list[bytes] = []
    if how == "break":
        async for _ in answer.frames():
            break
        await answer.aclose()
    else:
        task = asyncio.create_task(_consume(answer, got))
        await asyncio.sleep(0.05)
        await answer.aclose() if how == "aclose" else task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert b"Hello" in b"".join(got)
        assert b"error" not in b"".join(got)
    await upstream.wait_cancelled(within=AT_ONCE)
    progress = answer.progress
    assert progress.status == 499
    assert progress.latency is not None
    assert progress.usage.completion >= 1
    assert not progress.usage_known


async def test_an_answer_nobody_reads_is_closed(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(hang_after=3))
    answer = await engine_for(upstream).forward(ask("a", stream=True))
    await answer.aclose()
    await answer.aclose()
    await upstream.wait_cancelled(within=AT_ONCE)
    assert [piece async for piece in answer.frames()] == []


async def test_usage_is_kept_when_the_client_leaves(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    content = (
        b'data: {"choices":[{"index":0,"delta":{"content":"x"}}],"usage":{"prompt_tokens":9,"completion_tokens":0}}\n\n'
    )
    upstream.script(Script(frames=[content] * 50, delay=0.01))
    answer = await engine_for(upstream).forward(ask("a", stream=True))
    await answer.aclose()
    assert answer.progress.usage == Usage(prompt=9, completion=0)  # an explicit zero is a number
    assert answer.progress.usage_known


async def test_leaving_frees_the_slot_and_tells_nothing_bad_of_the_arm(
    engine_for: EngineFor, upstream: ScriptedUpstream
) -> None:
    ended: list[Progress] = []

    class Ended(Observer):
        def ended(self, progress: Progress, streamed: bool) -> None:
            ended.append(progress)

    upstream.script(Script(hang_after=3))
    engine = engine_for(upstream, arm={"max_concurrency": 1}, breaker={"failures": 1}, observer=Ended())
    for _ in range(3):
        answer = await engine.forward(ask("a", stream=True))
        await answer.aclose()
    assert engine.health() == {"a": "closed"}
    assert [progress.status for progress in ended] == [499] * 3


async def test_waiting_in_the_queue_can_be_cancelled(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(hang_after=3))
    engine = engine_for(upstream, arm={"max_concurrency": 1})
    running = await engine.forward(ask("a", stream=True))
    waiting = asyncio.create_task(engine.forward(ask("a", stream=True)))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await running.aclose()
    upstream.script(Script())
    await engine.forward(ask("a"))
    assert len(upstream.requests) == 2


async def test_backoff_can_be_cancelled(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(status=503, headers={"retry-after": "60"}))
    engine = engine_for(upstream, retries={"max_backoff": 100})
    task = asyncio.create_task(engine.forward(ask("a")))
    await upstream.wait_requests()
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(upstream.requests) == 1


def test_requests_are_never_changed() -> None:
    request = ForwardRequest(body={"a": 1}, arms=("a",))
    with pytest.raises(AttributeError):
        request.task = "x"  # type: ignore[misc]
