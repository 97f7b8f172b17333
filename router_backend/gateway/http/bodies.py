"""Large request bodies: how many may be there at once, and where they are read."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

SMALL = 64 * 1024  # bytes up to which a body costs too little to be counted or to leave the loop for

worker = ThreadPoolExecutor(1, thread_name_prefix="large-bodies")
"""One thread: what it takes from the loop (the interpreter's lock) doesn't grow with the number of large bodies."""


async def off_loop(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Result of work on a body of `size` bytes, done where it holds up nobody else."""
    if size <= SMALL:
        return work(*args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(worker, lambda: work(*args, **kwargs))


class Bodies:
    """Room for the bytes of large bodies in flight. Who finds none waits for its turn."""

    def __init__(self, limit: int) -> None:
        self._limit, self._taken = limit, 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int, seconds: float) -> int:
        """Wait until there is room; returns what to give back.

        Raises:
            TimeoutError: there is none after `seconds`.
        """
        size = min(size, self._limit)
        if self._waiting or self._taken + size > self._limit:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((size, turn))
            try:
                async with asyncio.timeout(seconds):
                    await turn
            except BaseException:
                if turn.done() and not turn.cancelled():  # its turn came in the same moment
                    self._taken -= size
                self._next()
                raise
        else:
            self._taken += size
        return size

    def give_back(self, size: int) -> None:
        self._taken -= size
        self._next()

    def _next(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done():
                if self._taken + size > self._limit:
                    return
                self._taken += size
                turn.set_result(None)
            self._waiting.popleft()
