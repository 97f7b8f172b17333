"""Our own HTTP/1.1 client: no server makes it hold more than its bounds."""

from __future__ import annotations

import asyncio

import pytest

from router_backend.core.http import connection
from router_backend.forwarding.upstreams import http
from router_backend.forwarding.upstreams.http import Ended
from router_backend.forwarding.upstreams.plain import PlainHTTP
from tests.forwarding.upstreams.plain.serving import OK, ask, body, serving


async def test_a_server_is_read_no_faster_than_its_answer_is(client: PlainHTTP) -> None:
    written, piece = 0, b"x" * 65536

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (1024 * len(piece)))
        for _ in range(1024):
            writer.write(piece)
            await writer.drain()
            written += 1

    async with serving(serve) as server:
        response = await client.post(server.url, b"{}", {})
        async with asyncio.timeout(20):
            before = -1
            while written != before:  # until nothing moves any more
                before = written
                for _ in range(20):
                    await asyncio.sleep(0.005)
        assert written < 1024
        assert response._response._size <= connection._HIGH + 2**20
        assert len(await body(response)) == 1024 * len(piece)
        response.finish()


async def test_reads_are_bounded_and_small_chunks_come_together(client: PlainHTTP) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % (97 + at % 26) for at in range(1000)) + b"20000\r\n" + b"z" * 0x20000 + b"\r\n"
    async with serving(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n") as server:
        response = await client.post(server.url, b"{}", {})
        sizes = []
        while part := await response.read():
            sizes.append(len(part))
        assert sum(sizes) == 1000 + 0x20000
        assert max(sizes) <= http.READ_BYTES
        assert len(sizes) < 30
        response.finish()


@pytest.mark.parametrize("line", [b"x: " + b"y" * 1000 + b"\r\n", b"x" * 1000], ids=["lines", "one line"])
@pytest.mark.parametrize("where", ["head", "trailers"])
async def test_a_head_has_a_size_and_what_follows_a_body_too(client: PlainHTTP, line: bytes, where: str) -> None:
    begin = b"HTTP/1.1 200 OK\r\n" if where == "head" else OK.partition(b"content-length")[0]
    begin += b"" if where == "head" else b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        writer.write(begin)
        while True:
            writer.write(line)
            await writer.drain()

    async with serving(serve) as server:
        with pytest.raises(Ended):
            await ask(client, server)
        async with asyncio.timeout(20):
            await server.gone.wait()
