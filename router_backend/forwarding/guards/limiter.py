"""Concurrency of one arm: so many calls at once, a bounded queue behind them, and 429 beyond."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

MAX_RETRY_AFTER = 60.0


class QueueFull(Exception):
    """No slot and no place in the queue. `retry_after`: seconds until the queue should have drained."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"queue full, try again in {retry_after:g} s")
        self.retry_after = retry_after


class Limiter:
    """First come, first served. Each arm has its own, so that a hung upstream takes no other arm's slots."""

    def __init__(
        self, concurrency: int, queue: int, on_change: Callable[[int, int], None] = lambda running, queued: None
    ) -> None:
        self._concurrency, self._queue, self._on_change = concurrency, queue, on_change
        self._waiters: deque[asyncio.Future[None]] = deque()
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

    async def acquire(self) -> Slot:
        """A slot, now or when one is freed.

        Raises:
            QueueFull: at once, when the queue is full.
        """
        if self._running < self._concurrency and not self._waiters:
            self._running += 1
        else:
            await self._wait()
        self._on_change(self._running, len(self._waiters))
        return Slot(self)

    async def _wait(self) -> None:
        if len(self._waiters) >= self._queue:
            ahead = (len(self._waiters) + 1) / self._concurrency
            raise QueueFull(float(round(min(MAX_RETRY_AFTER, max(1.0, ahead * self._held)))))
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._on_change(self._running, len(self._waiters))
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._free()  # the slot was handed over in the same moment
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
                self._on_change(self._running, len(self._waiters))
            raise

    def _release(self, held: float) -> None:
        self._held += 0.1 * (held - self._held)
        self._free()

    def _free(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():  # else it was cancelled, and its task hasn't run since
                waiter.set_result(None)  # the slot changes hands and stays counted
                break
        else:
            self._running -= 1
        self._on_change(self._running, len(self._waiters))


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
