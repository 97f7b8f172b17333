"""Connections to one server that are kept open between requests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from router_backend.core.http.connection import Connection, Response

C = TypeVar("C", bound=Connection)


class Pool(Generic[C]):
    """Hands connections out in turn. Where there is a limit, who finds none waits for one, in turn as well."""

    def __init__(
        self, connect: Callable[[], Awaitable[C]], limit: int | None = None, keep_seconds: float | None = None
    ) -> None:
        """`limit`: open at once; `keep_seconds`: that one may be idle. None: there is no such limit."""
        self._connect, self._limit, self._keep = connect, limit, keep_seconds
        self._open = 0  # in use or idle
        self._idle: deque[C] = deque()  # the longest idle first
        self._used: set[C] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None

    async def take(self) -> C:
        """A connection, which the caller gives back.

        Raises:
            OSError: nobody listens.
        """
        while True:
            while self._idle:
                connection = self._idle.popleft()
                if connection.usable:
                    self._used.add(connection)
                    return connection
                self._open -= 1
            if self._limit is None or self._open < self._limit:
                break
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake()  # its turn came in the same moment
                raise
        self._open += 1
        try:
            connection = await self._connect()
        except BaseException:
            self._open -= 1
            self._wake()
            raise
        self._used.add(connection)
        return connection

    def give_back(self, connection: C) -> None:
        """Whatever state it is in."""
        if connection not in self._used:
            return
        self._used.remove(connection)
        if connection.rests and (self._limit is None or self._open <= self._limit):
            self._idle.append(connection)
            if self._keep is not None:
                self._keep_for(connection, self._keep)
        else:
            connection.close()
            self._open -= 1
        self._wake()

    def finish(self, response: Response, connection: C, bytes_left: int, seconds: float) -> None:
        """An answer is read as far as anybody wants it. For a moment its end may still come, so that its connection serves again."""
        if response.whole:
            self.give_back(connection)
            return
        timer = asyncio.get_running_loop().call_later(seconds, connection.close)

        def ended() -> None:
            timer.cancel()
            self.give_back(connection)

        response.leave(bytes_left, ended)

    def close(self) -> None:
        """Close what is idle, and what is in use when it comes back."""
        for connection in self._idle:
            connection.close()
        self._open -= len(self._idle)
        self._idle.clear()
        self._limit = 0
        if self._sweeper:
            self._sweeper.cancel()
            self._sweeper = None

    def abort(self) -> None:
        """Close all, with the requests that they carry."""
        self.close()
        for connection in tuple(self._used):
            connection.close()

    def _keep_for(self, connection: C, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        if self._sweeper is None:
            self._sweeper = loop.call_later(seconds, self._sweep, seconds)

    def _sweep(self, seconds: float) -> None:
        """Close what was idle for too long. One timer for all of them: most are used again before it rings."""
        self._sweeper = None
        loop = asyncio.get_running_loop()
        while self._idle and self._idle[0].idle_since + seconds <= loop.time():
            self._idle.popleft().close()
            self._open -= 1
        if self._idle:
            self._sweeper = loop.call_at(self._idle[0].idle_since + seconds, self._sweep, seconds)

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
