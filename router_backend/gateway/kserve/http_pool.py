"""A bounded number of connections to one address, or to all addresses that one name has."""

from __future__ import annotations

import asyncio
import itertools
import socket
from typing import NamedTuple

from router_backend.core.http import pool
from router_backend.core.http.connection import Broken
from router_backend.gateway.kserve.http_connection import Answer, Connection

_AGE_SECONDS = 5.0
"""Of a connection. A Triton that is to end waits for its connections, ten seconds at most, and a new replica of a name gets
its share by new ones.
"""
_AVOIDED_SECONDS = 1.0  # an address that took no connection


class _Place(NamedTuple):
    """One address of a host."""

    family: int
    address: tuple[str, int]


class Pool(pool.Pool[Connection]):
    """Keeps connections open between requests and takes them in turn; who finds none waits for one, in turn as well."""

    def __init__(self, address: str, limit: int) -> None:
        """`address`: `unix:<path>`, or `<host>:<port>`; of a name with several addresses all are used."""
        super().__init__(self._connected, limit)
        self._address = address
        self._turn = itertools.count()
        self._avoided: dict[_Place, float] = {}  # until when, by the loop's clock

    async def exchange(self, request: bytes) -> Answer:
        """The answer to a request, which is sent again if the connection had ended while it was idle.

        Raises:
            OSError: nobody listens, or the connection broke.
        """
        while True:
            connection = await self.take()
            used = connection.answered > 0
            try:
                return await connection.exchange(request)
            except Broken as error:
                if not (used and error.silent):
                    raise
            finally:
                self.give_back(connection)

    async def _connected(self) -> Connection:
        connection = await self._open_one()
        asyncio.get_running_loop().call_later(_AGE_SECONDS, connection.retire)
        return connection

    async def _open_one(self) -> Connection:
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
