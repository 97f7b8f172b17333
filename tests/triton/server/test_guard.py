"""What the guard in front of Triton does when one of the two sides goes in the middle of an answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from router_backend.triton.server.guard import Guard

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ASKED = b"GET /v2/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@asynccontextmanager
async def guarded(folder: Path, triton: Handler) -> AsyncIterator[int]:
    """The port of a guard in front of `triton`, which gets each connection when its request has been read."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await triton(reader, writer)
        writer.close()

    socket = folder / "s"
    async with await asyncio.start_unix_server(handle, socket):
        runner = web.AppRunner(Guard(socket, "127.0.0.1").application(), handler_cancellation=True, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
        await runner.cleanup()


async def test_an_answer_that_triton_breaks_off_is_broken_off(tmp_path: Path) -> None:
    async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"5\r\nhello\r\n")
        await writer.drain()
        writer.transport.abort()

    async with guarded(tmp_path, dies) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ASKED)
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.count(b"HTTP/1.1") == 1  # no second answer in the middle of the first
    assert not answer.endswith(b"0\r\n\r\n")  # and no end that would look like a whole one


async def test_a_client_that_goes_ends_tritons_answer_and_nothing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = asyncio.Event()

    async def streams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        while not writer.is_closing():
            writer.write(b"5\r\nhello\r\n")
            await asyncio.sleep(0.001)
        gone.set()

    with caplog.at_level(logging.WARNING):
        async with guarded(tmp_path, streams) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(ASKED)
            await reader.readuntil(b"hello")
            writer.transport.abort()
            async with asyncio.timeout(20):
                await gone.wait()
    assert not [record for record in caplog.records if record.name.startswith("aiohttp")]
