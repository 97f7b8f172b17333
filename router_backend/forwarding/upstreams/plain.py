"""HTTP/1.1 straight to the server, over connections that are kept: the way to every upstream without a proxy."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from aiohappyeyeballs import start_connection
from yarl import URL

from router_backend.core.http.coding import Unpacker
from router_backend.core.http.connection import Broken, Connection, Response
from router_backend.core.http.pool import Pool
from router_backend.forwarding.upstreams.http import (
    KEEPALIVE_SECONDS,
    LINGER_BYTES,
    LINGER_SECONDS,
    MAX_HEADER_BYTES,
    NO_TYPE,
    READ_BYTES,
    ConnectTimeout,
    Ended,
    NotConnected,
    Unusable,
)

_HEAD_BYTES = 4 * MAX_HEADER_BYTES  # of all headers together
_NAMES_SECONDS = 10.0  # that a name's addresses are not asked for again
_NEXT_ADDRESS_SECONDS = 0.25  # until the other family of addresses is tried as well (RFC 8305, section 5)
_AGENT = "triton-llm-router"


def is_plain(url: str) -> bool:
    """Whether this client takes a server's address: names and passwords in it are left to another."""
    parts = URL(url)
    return parts.scheme in ("http", "https") and bool(parts.raw_host) and parts.raw_user is None


class PlainHTTP:
    """See `HTTPClient`. Connections are limited by arm, not here."""

    def __init__(self, connect: float) -> None:
        """`connect`: seconds that a connection may take, the look-up of its name and TLS included."""
        self._connect = connect
        self._pools: dict[tuple[str, str, int], Pool[Connection]] = {}
        self._targets: dict[str, tuple[Pool[Connection], bytes]] = {}

    async def post(self, url: str, data: bytes, headers: Mapping[str, str]) -> PlainResponse:
        """See `HTTPClient.post`."""
        pool, begin = self._target(url)
        head = begin + head_lines(headers, len(data))
        connection = await pool.take()
        try:
            response = await connection.send(head, data)
        except Broken as error:
            pool.give_back(connection)
            raise Ended(str(error)) from None
        except BaseException:
            pool.give_back(connection)
            raise
        return PlainResponse(pool, connection, response)

    async def aclose(self) -> None:
        """See `HTTPClient.aclose`."""
        for pool in self._pools.values():
            pool.abort()

    def _target(self, url: str) -> tuple[Pool[Connection], bytes]:
        """Of an address: its connections, and how requests to it begin."""
        known = self._targets.get(url)
        if known is None:
            parts = URL(url)
            origin = (parts.scheme, parts.raw_host or "", parts.port or 0)
            pool = self._pools.get(origin)
            if pool is None:
                server = Server(*origin, self._connect)
                pool = self._pools[origin] = Pool(server.connect, keep_seconds=KEEPALIVE_SECONDS)
            host = parts.host_port_subcomponent or ""
            begin = f"POST {parts.raw_path_qs} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {_AGENT}\r\n".encode()
            known = (pool, begin)
            if len(self._targets) < 1024:  # redirects may lead anywhere within a server
                self._targets[url] = known
        return known


def head_lines(headers: Mapping[str, str], length: int) -> bytes:
    """The lines of a head, to its end.

    Raises:
        ValueError: what would be a header makes another line.
    """
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers) or "\0" in lines:
        raise ValueError("a header with an end of line")
    return f"{lines}content-length: {length}\r\n\r\n".encode()


class PlainResponse:
    """See `HTTPResponse`."""

    __slots__ = ("_connection", "_packed", "_pool", "_response", "_rest", "status")

    def __init__(self, pool: Pool[Connection], connection: Connection, response: Response) -> None:
        self._pool, self._connection, self._response = pool, connection, response
        self.status = response.status
        self._packed: Unpacker | None = None
        self._rest = b""

    @property
    def content_type(self) -> str:
        """See `HTTPResponse.content_type`."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower() or NO_TYPE

    def header(self, name: str) -> str | None:
        """See `HTTPResponse.header`."""
        return self._response.header(name.encode())

    async def read(self) -> bytes:
        """See `HTTPResponse.read`."""
        try:
            if b"content-encoding" in self._response.headers:
                return await self._unpacked()
            return await self._response.read(READ_BYTES)
        except Broken as error:
            raise Ended(str(error)) from None

    def finish(self) -> None:
        """See `HTTPResponse.finish`."""
        self._pool.finish(self._response, self._connection, LINGER_BYTES, LINGER_SECONDS)

    def cancel(self) -> None:
        """See `HTTPResponse.cancel`."""
        self._connection.close()
        self._pool.give_back(self._connection)

    async def _unpacked(self) -> bytes:
        try:
            if self._packed is None:
                coding = (self.header("content-encoding") or "").strip().lower()
                if coding in ("", "identity"):
                    return await self._response.read(READ_BYTES)
                self._packed = Unpacker(coding)
            while True:
                data = self._rest or await self._response.read(READ_BYTES)
                part = self._packed.unpack(data, READ_BYTES)
                self._rest = self._packed.rest
                if part:
                    return part
                if not data:
                    break
        except ValueError as error:
            raise Unusable(str(error)) from None
        if not self._packed.ended:
            raise Ended("what is packed breaks off")
        return b""


class Server:
    """One address, over TCP or TLS."""

    def __init__(self, scheme: str, host: str, port: int, seconds: float) -> None:
        self._host, self._port, self._seconds = host, port, seconds
        self._tls = trusted() if scheme == "https" else None
        self._known: list[Any] = []  # addresses of the name
        self._known_until = 0.0

    async def connect(self) -> Connection:
        """A new connection.

        Raises:
            NotConnected, ConnectTimeout: there is none.
        """
        try:
            async with asyncio.timeout(self._seconds) as clock:
                return await self._connected()
        except OSError as error:  # TimeoutError is one
            self._known = []
            if clock.expired():
                raise ConnectTimeout(f"no connection within {self._seconds:g} s") from None
            raise NotConnected(error.strerror or str(error)) from error

    async def _connected(self) -> Connection:
        loop = asyncio.get_running_loop()
        found = await start_connection(
            await self._addresses(loop), happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1, loop=loop
        )
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(_HEAD_BYTES, lenient=True),
                sock=found,
                ssl=self._tls,
                server_hostname=self._host if self._tls else None,
            )
        except BaseException:
            found.close()
            raise
        return connection

    async def _addresses(self, loop: asyncio.AbstractEventLoop) -> list[Any]:
        if not self._known or loop.time() > self._known_until:
            flags = 0 if _is_address(self._host) else socket.AI_ADDRCONFIG
            self._known = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, flags=flags)
            self._known_until = loop.time() + _NAMES_SECONDS
        self._known = [*self._known[1:], *self._known[:1]]  # each gets its share: they may be replicas
        return self._known


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@functools.cache
def trusted() -> ssl.SSLContext:
    """TLS with the certificates that this machine trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
