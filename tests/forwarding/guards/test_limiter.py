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


async def served(limiter: Limiter, client: str, order: list[str]) -> None:
    slot = await limiter.acquire(client)
    order.append(client)
    await asyncio.sleep(0)
    slot.release()


async def test_clients_take_turns_so_that_one_that_sends_much_waits_for_itself() -> None:
    limiter, order = Limiter(concurrency=2, queue=200), list[str]()
    calls = [served(limiter, client, order) for client in ["flood"] * 100 + ["a"] * 3 + ["b"] * 3]
    await asyncio.gather(*calls)
    assert len(order) == 106
    assert {order.index("a"), order.index("b")} <= set(range(2, 6))
    last = max(place for place, client in enumerate(order) if client != "flood")
    assert last < 2 + 3 * 3 + 1  # three clients in turn, after the two that ran already
    assert (limiter.running, limiter.queued) == (0, 0)


async def test_a_full_queue_makes_room_for_those_who_wait_with_less() -> None:
    limiter, order = Limiter(concurrency=1, queue=4), list[str]()
    running = await limiter.acquire("flood")
    flood = [asyncio.create_task(served(limiter, "flood", order)) for _ in range(4)]
    await asyncio.sleep(0)
    others = [asyncio.create_task(served(limiter, "other", order)) for _ in range(2)]
    await asyncio.sleep(0)
    assert limiter.queued == 4
    with pytest.raises(QueueFull):  # each has its half
        await limiter.acquire("other")
    with pytest.raises(QueueFull):
        await limiter.acquire("flood")
    running.release()
    results = await asyncio.gather(*flood, *others, return_exceptions=True)
    assert [type(result) for result in results] == [type(None)] * 2 + [QueueFull] * 2 + [type(None)] * 2
    assert order == ["flood", "other", "flood", "other"]
    assert (limiter.running, limiter.queued) == (0, 0)


async def test_one_that_gave_way_and_is_cancelled_in_the_same_moment_leaves_no_slot_behind() -> None:
    limiter = Limiter(concurrency=1, queue=2)
    running = await limiter.acquire("a")
    waiting = [asyncio.create_task(limiter.acquire("a")) for _ in range(2)]
    await asyncio.sleep(0)
    other = asyncio.create_task(limiter.acquire("b"))
    await asyncio.sleep(0)
    waiting[1].cancel()
    running.release()
    (await waiting[0]).release()
    (await other).release()
    assert (limiter.running, limiter.queued) == (0, 0)
