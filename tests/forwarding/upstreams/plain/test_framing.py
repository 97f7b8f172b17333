"""Our own HTTP/1.1 client: where an answer begins and ends, and what is none."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from router_backend.forwarding.upstreams.http import Ended, Unusable
from router_backend.forwarding.upstreams.plain import PlainHTTP, head_lines
from tests.forwarding.upstreams.plain.serving import OK, ask, serving


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (OK, b"ok"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\nx: y\r\n\r\n", b"ok"),
        (b"HTTP/1.1 100 Continue\r\na: b\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
    ],
    ids=["length", "chunks", "1xx", "204", "empty"],
)
async def test_a_body_ends_where_its_framing_says_and_the_connection_serves_again(
    client: PlainHTTP, answer: bytes, found: bytes
) -> None:
    async with serving(answer) as server:
        assert [await ask(client, server) for _ in range(3)] == [found] * 3
        assert server.connections == 1


async def test_an_answer_may_come_byte_by_byte(client: PlainHTTP) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    async with serving(serve) as server:
        assert [await ask(client, server) for _ in range(2)] == [b"ok"] * 2
        assert server.connections == 1


async def test_a_body_without_a_length_ends_with_its_connection(client: PlainHTTP) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nok")
        writer.close()

    async with serving(serve) as server:
        assert [await ask(client, server) for _ in range(2)] == [b"ok"] * 2
        assert server.connections == 2


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
    ids=["nothing", "head", "length", "chunks", "ssh", "upgrade", "two lengths", "length and chunks"],
)
async def test_what_breaks_off_or_is_no_answer_is_no_answer(client: PlainHTTP, sent: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        writer.write(sent)
        writer.close()

    async with serving(serve) as server:
        with pytest.raises(Ended):
            await ask(client, server)
        assert len(server.requests) == 1  # it may have been worked on: whether to ask again is the engine's to say


async def test_what_came_before_the_end_is_handed_out_first(client: PlainHTTP) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbegin")
        await writer.drain()
        writer.close()

    async with serving(serve) as server:
        response = await client.post(server.url, b"{}", {})
        assert await response.read() == b"begin"
        with pytest.raises(Ended):
            await response.read()
        response.cancel()


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP"])
async def test_what_is_packed_unasked_is_unpacked(client: PlainHTTP, coding: str) -> None:
    data = b"text, " * 50_000
    packed = gzip.compress(data)
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: %s\r\ncontent-length: %d\r\n\r\n" % (coding.encode(), len(packed))
    async with serving(head + packed) as server:
        assert await ask(client, server) == data
    cut = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 20\r\n\r\n" + packed[:20]
    async with serving(cut) as server:
        with pytest.raises(Ended):
            await ask(client, server)


@pytest.mark.parametrize("coding", [b"br", b"gzip, gzip"])
async def test_what_cant_be_unpacked_is_told(client: PlainHTTP, coding: bytes) -> None:
    async with serving(b"HTTP/1.1 200 OK\r\ncontent-encoding: %s\r\ncontent-length: 2\r\n\r\nok" % coding) as server:
        with pytest.raises(Unusable, match="content-encoding"):
            await ask(client, server)


async def test_no_header_makes_another_line(client: PlainHTTP) -> None:
    for value in ("a\r\nb: c", "a\nb", "a\rb", "a\0b"):
        with pytest.raises(ValueError, match="end of line"):
            head_lines({"x": value}, 0)
    async with serving(OK) as server:
        response = await client.post(server.url, b"{}", {"x": "y", "authorization": "Bearer k"})
        response.finish()
        head = server.requests[0].partition(b"\r\n\r\n")[0].split(b"\r\n")
        assert head[0] == b"POST /v1/chat/completions HTTP/1.1"
        assert head[1] == b"host: 127.0.0.1:%d" % server.port
        assert b"content-length: 2" in head
        assert b"authorization: Bearer k" in head
