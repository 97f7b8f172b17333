"""Places that nobody else wants: calls that nobody waits for are behind all others."""

from __future__ import annotations

import asyncio

import pytest

from router_backend.forwarding.guards.limiter import Limiter, QueueFull, Slots


class Polled(Slots):
    """As those of several processes: a slot may be freed without anybody here hearing of it."""

    polled = True


EACH = pytest.mark.parametrize("slots", [Slots, Polled])


async def waiting(limiter: Limiter) -> asyncio.Task[object]:
    task: asyncio.Task[object] = asyncio.create_task(limiter.acquire_idle("batch"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


@EACH
async def test_some_places_are_never_lent(slots: type[Slots]) -> None:
    limiter = Limiter(4, 10, slots=slots(4), idle=2)
    await limiter.acquire_idle()
    second = await limiter.acquire_idle()
    third = await waiting(limiter)
    assert not third.done()
    others = [await limiter.acquire("somebody") for _ in range(2)]  # at once
    second.release()
    for other in others[:1]:
        other.release()
    await asyncio.sleep(0.3)
    assert not third.done()  # two are taken
    others[1].release()
    await asyncio.wait_for(third, 10)
    assert limiter.running == 2


@EACH
async def test_who_is_waited_for_comes_first(slots: type[Slots]) -> None:
    limiter = Limiter(1, 10, slots=slots(1), idle=1)
    slot = await limiter.acquire_idle()
    unhurried = await waiting(limiter)
    hurried = asyncio.create_task(limiter.acquire("somebody"))
    await asyncio.sleep(0)
    slot.release()
    (await asyncio.wait_for(hurried, 10)).release()
    (await asyncio.wait_for(unhurried, 10)).release()
    assert limiter.running == 0


@EACH
async def test_who_gives_up_leaves_no_place_taken(slots: type[Slots]) -> None:
    limiter = Limiter(1, 0, slots=slots(1), idle=1)
    slot = await limiter.acquire("somebody")
    first, second = await waiting(limiter), await waiting(limiter)
    first.cancel()
    with pytest.raises(QueueFull):
        await limiter.acquire("another")  # who waits behind all takes no place in the queue, and gives none
    slot.release()
    second.cancel()  # in the moment in which it gets the place, or before
    await asyncio.gather(first, second, return_exceptions=True)
    (await asyncio.wait_for(limiter.acquire_idle(), 10)).release()
    assert limiter.running == 0
