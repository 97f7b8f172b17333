"""Concurrency of one arm: so many calls at once, a bounded queue behind them, and 429 beyond."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from router_backend.forwarding.guards.turns import Turns

MAX_RETRY_AFTER = 60.0
_POLL_SECONDS = 0.005


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

    def take(self) -> bool:
        """Take one; False if there is none."""
        free = self._taken < self._count
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
    ) -> None:
        """`slots`: those of several processes, `concurrency` in all; they are handed on within this one."""
        self._concurrency, self._on_change = concurrency, on_change
        self._slots = slots or Slots(concurrency)
        self._waiters = Turns(queue)
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
        if self._slots.polled and not self._polling:
            self._polling = True
            self._poll_later()
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

    def _poll_later(self) -> None:
        asyncio.get_running_loop().call_later(random.uniform(0.2, 1.0) * _POLL_SECONDS, self._poll)

    def _poll(self) -> None:
        """Take what has been freed, here or by other processes, each of which gets its chance."""
        while self._waiters and self._slots.take():
            self._running += 1
            if not self._handed_on():
                self._give_back()
        self._polling = bool(self._waiters)
        if self._polling:
            self._poll_later()

    def _free(self) -> None:
        if self._slots.polled or not self._handed_on():
            self._give_back()
        self._on_change(self._running, len(self._waiters))

    def _handed_on(self) -> bool:
        """Whether a waiter has taken a slot over, which stays counted."""
        while self._waiters:
            waiter = self._waiters.pop()
            if not waiter.done():  # else it was cancelled, and its task hasn't run since
                waiter.set_result(None)
                return True
        return False

    def _give_back(self) -> None:
        self._running -= 1
        self._slots.give_back()


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
