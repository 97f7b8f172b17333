"""A crowd of streams, many of whose clients leave at any moment, leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import resource
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from router_backend.forwarding.engine import Engine
from router_backend.forwarding.failure import ForwardError
from tests.support.asking import ask
from tests.support.scripted_upstream import Script, ScriptedUpstream

STREAMS = 1000


@pytest.fixture(autouse=True)
def _enough_files() -> Iterator[None]:
    """Two sockets per stream, since client and server are one process here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * STREAMS if hard == resource.RLIM_INFINITY else min(hard, 3 * STREAMS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
async def test_a_thousand_streams_with_random_disconnects_leave_no_task_socket_or_call(
    engine_for: Callable[..., Engine], upstream: ScriptedUpstream
) -> None:
    rng = random.Random(20)
    upstream.script_by(
        lambda body: rng.choice(
            [
                Script(text="x" * 40, delay=0.02),
                Script(text="x" * 40, delay=0.02, latency=0.2),
                Script(hang_after=5),
                Script(first_delay=float("inf")),
                Script(cut_after=5, delay=0.01),
                Script(status=500),
            ]
        )
    )
    gc.collect()  # what earlier tests of this process have left open closes now, not in the middle
    tasks, files = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
    engine = engine_for(
        upstream,
        arm={"max_concurrency": STREAMS, "max_queue": 0},
        breaker={"failures": 10**9},
        timeouts={"first_token": 15, "idle": 15},
    )
    ends: Counter[str] = Counter()

    async def client(leaves_after: float | None) -> None:
        try:
            async with asyncio.timeout(leaves_after):
                answer = await engine.forward(ask("a", stream=True))
                try:
                    async for _ in answer.frames():
                        pass
                finally:
                    await answer.aclose()
            ends[str(answer.progress.error or "complete")] += 1
        except TimeoutError:
            ends["left"] += 1
        except ForwardError as error:
            ends[str(error.error.code)] += 1

    await asyncio.gather(*(client(rng.uniform(0, 5) if place % 2 else None) for place in range(STREAMS)))
    await upstream.wait_running(0, within=15)
    assert sum(ends.values()) == STREAMS
    assert min(ends["left"], ends["complete"], ends["cut"]) > 0
    arm = engine._arms["a"]
    assert (arm.limiter.running, arm.limiter.queued) == (0, 0)
    await engine.aclose()
    async with asyncio.timeout(5):
        while upstream.connections:
            await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) == tasks
    assert len(os.listdir("/proc/self/fd")) <= files
