"""A bounded number of connections to one address, or to all addresses that one name has."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import deque
from typing import NamedTuple

from router_backend.gateway.kserve.http_connection import Answer, Broken, Connection

_AGE_SECONDS = 5.0
"""Of a connection. A Triton that is to end waits for its connections, ten seconds at most, and a new replica of a name gets
its share by new ones.
"""
_AVOIDED_SECONDS = 1.0  # an address that took no connection


class _Place(NamedTuple):
    """One address of a host."""

    family: int
    address: tuple[str, int]


class Pool:
    """Keeps connections open between requests and takes them in turn; who finds none waits for one, in turn as well."""

    def __init__(self, address: str, limit: int) -> None:
        """`address`: `unix:<path>`, or `<host>:<port>`; of a name with several addresses all are used."""
        self._address, self._limit = address, limit
        self._open = 0  # in use or idle
        self._idle: deque[Connection] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turn = itertools.count()
        self._avoided: dict[_Place, float] = {}  # until when, by the loop's clock

    async def exchange(self, request: bytes) -> Answer:
        """The answer to a request, which is sent again if the connection had ended while it was idle.

        Raises:
            OSError: nobody listens, or the connection broke.
        """
        while True:
            connection = await self._take()
            used = connection.answered > 0
            try:
                return await connection.exchange(request)
            except Broken as error:
                if not (used and error.silent):
                    raise
            finally:
                self._give_back(connection)

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._open -= len(self._idle)
        self._idle.clear()
        self._limit = 0  # what is in use closes when it comes back

    async def _take(self) -> Connection:
        while True:
            while self._idle:
                connection = self._idle.popleft()
                if connection.usable:
                    return connection
                self._open -= 1
            if self._open < self._limit:
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
        asyncio.get_running_loop().call_later(_AGE_SECONDS, connection.retire)
        return connection

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        if self._address.startswith("unix:"):
            _, connection = await loop.create_unix_connection(Connection, self._address.removeprefix("unix:"))
            return connection
        failed: OSError | None = None
        for place in await self._places():
            try:
                _, connection = await loop.create_connection(Connection, *place.address, family=place.family)
            except BaseException as error:  # the time may be up before there is a connection
                self._avoided[place] = loop.time() + _AVOIDED_SECONDS
                if not isinstance(error, OSError):
                    raise
                failed = error
            else:
                return connection
        raise failed or OSError(f"{self._address} has no address")

    async def _places(self) -> list[_Place]:
        """The host's addresses, in the order in which to try them: another one first each time, those that failed last."""
        loop = asyncio.get_running_loop()
        host, _, port = self._address.rpartition(":")
        found = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        places = sorted({_Place(family, (str(address[0]), int(address[1]))) for family, _, _, _, address in found})
        first = next(self._turn) % len(places) if places else 0
        self._avoided = {place: until for place, until in self._avoided.items() if until > loop.time()}
        return sorted(places[first:] + places[:first], key=self._avoided.__contains__)

    def _give_back(self, connection: Connection) -> None:
        if connection.usable and self._open <= self._limit:
            self._idle.append(connection)
        else:
            connection.close()
            self._open -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
