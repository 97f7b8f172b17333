"""Servers for our own HTTP/1.1 client: sockets that write what a test says."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from router_backend.forwarding.upstreams.plain import PlainHTTP, PlainResponse

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Server:
    """Reads whole requests; `serve` answers each, told how many its connection has had before."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.gone = asyncio.Event()  # a client has closed its connection

    async def start(self, serve: Serve, tls: ssl.SSLContext | None = None) -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            count = 0
            try:
                while head := await reader.readuntil(b"\r\n\r\n"):
                    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                    self.requests.append(head + await reader.readexactly(length))
                    await serve(reader, writer, count)
                    count += 1
            except (asyncio.IncompleteReadError, ConnectionError):
                self.gone.set()
            finally:
                writer.close()

        self._server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/chat/completions"

    def close(self) -> None:
        self._server.close()


@asynccontextmanager
async def serving(serve: Serve | bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server that does that, or writes these bytes."""

    async def writes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        assert isinstance(serve, bytes)
        writer.write(serve)
        await writer.drain()

    server = Server()
    await server.start(writes if isinstance(serve, bytes) else serve, tls)
    yield server
    server.close()


async def body(response: PlainResponse) -> bytes:
    parts = []
    while part := await response.read():
        parts.append(part)
    return b"".join(parts)


async def ask(client: PlainHTTP, server: Server) -> bytes:
    response = await client.post(server.url, b"{}", {})
    found = await body(response)
    response.finish()
    return found
