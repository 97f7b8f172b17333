"""Large request bodies: how many may be there at once."""

from __future__ import annotations

import asyncio
from collections import deque


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
