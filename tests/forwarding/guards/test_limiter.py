"""Slots are handed out in order, the queue is bounded, and a cancelled waiter costs nothing."""

from __future__ import annotations

import asyncio

import pytest

from router_backend.forwarding.guards.limiter import Limiter, QueueFull


async def test_first_come_first_served_and_429_beyond_the_queue() -> None:
    limiter = Limiter(concurrency=1, queue=2)
    slot = await limiter.acquire()
    order: list[int] = []

    async def call(number: int) -> None:
        mine = await limiter.acquire()
        order.append(number)
        mine.release()

    tasks = [asyncio.create_task(call(number)) for number in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull) as full:
        await limiter.acquire()
    assert full.value.retry_after >= 1
    slot.release()
    slot.release()  # a second release is none
    await asyncio.gather(*tasks)
    assert order == [0, 1]
    assert (limiter.running, limiter.queued) == (0, 0)


async def test_cancelled_waiters_leave_no_slot_behind() -> None:
    limiter = Limiter(concurrency=1, queue=10)
    slot = await limiter.acquire()
    waiting = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    slot.release()  # handed to the second, which is cancelled in the same moment
    waiting[1].cancel()
    (await waiting[2]).release()
    assert (limiter.running, limiter.queued) == (0, 0)


async def test_running_and_waiting_calls_cancelled_together_leave_no_slot_behind() -> None:
    limiter = Limiter(concurrency=1, queue=10)

    async def call() -> None:
        slot = await limiter.acquire()
        try:
            await asyncio.sleep(60)
        finally:
            slot.release()

    tasks = [asyncio.create_task(call()) for _ in range(4)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (limiter.running, limiter.queued) == (0, 0)


async def test_changes_are_told() -> None:
    seen: list[tuple[int, int]] = []
    limiter = Limiter(1, 1, lambda running, queued: seen.append((running, queued)))
    slot = await limiter.acquire()
    waiter = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    slot.release()
    (await waiter).release()
    assert seen[:2] == [(1, 0), (1, 1)]
    assert seen[-1] == (0, 0)
