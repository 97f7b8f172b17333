"""Concurrency of one arm: so many calls at once, a bounded queue behind them, and 429 beyond."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable

from router_backend.forwarding.guards.turns import Turns

MAX_RETRY_AFTER = 60.0
_POLL_SECONDS = 0.005
_IDLE_POLL_SECONDS = 0.1


class QueueFull(Exception):
    """No slot and no place in the queue. `retry_after`: seconds until the queue should have drained."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"queue full, try again in {retry_after:g} s")
        self.retry_after = retry_after


class Slots:
    """So many places for running calls. This process takes all of them."""

    polled = False  # a slot may be freed without this process hearing of it

    def __init__(self, count: int) -> None:
        self._count, self._taken = count, 0

    def take(self, most: int | None = None) -> bool:
        """Take one; False if there is none. `most`: none either while as many of all are taken."""
        free = self._taken < (self._count if most is None else min(most, self._count))
        self._taken += free
        return free

    def give_back(self) -> None:
        self._taken -= 1


class Limiter:
    """Clients take turns, and of one the first comes first. Each arm has its own, so that a hung upstream takes no other arm's slots."""

    def __init__(
        self,
        concurrency: int,
        queue: int,
        on_change: Callable[[int, int], None] = lambda running, queued: None,
        slots: Slots | None = None,
        idle: int | None = None,
    ) -> None:
        """`slots`: those of several processes, `concurrency` in all; they are handed on within this one. `idle`: how many may be
        taken at most when somebody takes one whom nobody waits for.
        """
        self._concurrency, self._on_change = concurrency, on_change
        self._slots = slots or Slots(concurrency)
        self._waiters = Turns(queue)
        self._most_idle = max(1, concurrency if idle is None else idle)
        self._idle = Turns(sys.maxsize)  # behind all others
        self._polling = False
        self._running = 0
        self._held = 1.0  # seconds that a slot is held, running mean

    @property
    def running(self) -> int:
        """Slots taken."""
        return self._running

    @property
    def queued(self) -> int:
        """Calls that wait."""
        return len(self._waiters)

    async def acquire(self, client: str = "") -> Slot:
        """A slot, now or when one is freed. `client`: whom the call is for; they take turns.

        Raises:
            QueueFull: at once, when the queue is full; or later, when a client that waits with fewer needs the place.
        """
        if not self._waiters and self._slots.take():
            self._running += 1
        else:
            await self._wait(client)
        self._on_change(self._running, len(self._waiters))
        return Slot(self)

    async def acquire_idle(self, client: str = "") -> Slot:
        """A slot that nobody else wants: when no call waits, and few are taken. `client`: as for `acquire`."""
        if not self._waiters and not self._idle and self._slots.take(self._most_idle):
            self._running += 1
        else:
            waiter = asyncio.get_running_loop().create_future()
            self._idle.append(client, waiter)
            self._poll_if_needed()
            try:
                await waiter
            except asyncio.CancelledError:
                if not waiter.cancelled():
                    self._free()  # the slot was handed over in the same moment
                else:
                    self._idle.remove(waiter)
                raise
        self._on_change(self._running, len(self._waiters))
        return Slot(self)

    async def _wait(self, client: str) -> None:
        if self._waiters.full:
            ahead = (len(self._waiters) + 1) / self._concurrency
            full = QueueFull(float(round(min(MAX_RETRY_AFTER, max(1.0, ahead * self._held)))))
            yielding = self._waiters.yielding(client)
            if yielding is None:
                raise full
            self._waiters.remove(yielding)
            if not yielding.done():
                yielding.set_exception(full)
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(client, waiter)
        self._on_change(self._running, len(self._waiters))
        self._poll_if_needed()
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                if waiter.exception() is None:
                    self._free()  # the slot was handed over in the same moment
            elif self._waiters.remove(waiter):
                self._on_change(self._running, len(self._waiters))
            raise

    def _release(self, held: float) -> None:
        self._held += 0.1 * (held - self._held)
        self._free()

    def _poll_if_needed(self) -> None:
        if self._slots.polled and not self._polling:
            self._polling = True
            self._poll_later()

    def _poll_later(self) -> None:
        seconds = _POLL_SECONDS if self._waiters else _IDLE_POLL_SECONDS
        self._timer = asyncio.get_running_loop().call_later(random.uniform(0.2, 1.0) * seconds, self._poll)

    def _poll(self) -> None:
        """Take what has been freed, here or by other processes, each of which gets its chance."""
        while self._waiters and self._slots.take():
            self._running += 1
            if not _handed_on(self._waiters):
                self._give_back()
        self._lend()
        self._polling = bool(self._waiters or self._idle)
        if self._polling:
            self._poll_later()

    def _free(self) -> None:
        if self._slots.polled or not _handed_on(self._waiters):
            self._give_back()
        self._lend()
        self._on_change(self._running, len(self._waiters))

    def _lend(self) -> None:
        """Slots that nobody else wants."""
        while self._idle and not self._waiters and self._slots.take(self._most_idle):
            self._running += 1
            if not _handed_on(self._idle):
                self._give_back()

    def _give_back(self) -> None:
        self._running -= 1
        self._slots.give_back()


def _handed_on(waiters: Turns) -> bool:
    """Whether one of them has taken a slot over, which stays counted."""
    while waiters:
        waiter = waiters.pop()
        if not waiter.done():  # else it was cancelled, and its task hasn't run since
            waiter.set_result(None)
            return True
    return False


class Slot:
    """A place among the running calls; released once, later releases do nothing."""

    __slots__ = ("_limiter", "_since")

    def __init__(self, limiter: Limiter) -> None:
        self._limiter: Limiter | None = limiter
        self._since = time.monotonic()

    def release(self) -> None:
        """Give it back."""
        limiter, self._limiter = self._limiter, None
        if limiter:
            limiter._release(time.monotonic() - self._since)
