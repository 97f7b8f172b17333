"""Our own HTTP/1.1 client: which connections serve again, and which end."""

from __future__ import annotations

import asyncio

import pytest

from router_backend.forwarding.upstreams import plain
from router_backend.forwarding.upstreams.http import Ended
from router_backend.forwarding.upstreams.plain import PlainHTTP
from tests.forwarding.upstreams.plain.serving import OK, ask, serving


async def test_a_connection_that_the_server_closed_meanwhile_isnt_used(client: PlainHTTP) -> None:
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        writer.write(OK)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        closed.set()

    async with serving(serve) as server:
        for _ in range(3):
            assert await ask(client, server) == b"ok"
            await closed.wait()
            closed.clear()
            for _ in range(3):  # the end reaches us
                await asyncio.sleep(0.01)
        assert server.connections == 3


async def test_an_idle_connection_ends_by_itself(client: PlainHTTP, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "KEEPALIVE_SECONDS", 0.01)
    async with serving(OK) as server:
        assert await ask(client, server) == b"ok"
        async with asyncio.timeout(20):
            await server.gone.wait()
        assert await ask(client, server) == b"ok"
        assert server.connections == 2


async def test_the_rest_of_an_answer_that_nobody_reads_is_waited_for(client: PlainHTTP) -> None:
    ends = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n")
        await ends.wait()
        writer.write(b"0\r\n\r\n")

    async with serving(serve) as server:
        response = await client.post(server.url, b"{}", {})
        assert await response.read() == b"ok"
        response.finish()
        ends.set()
        async with asyncio.timeout(20):
            while not any(pool._idle for pool in client._pools.values()):
                await asyncio.sleep(0.001)
        assert await ask(client, server) == b"ok"
        assert server.connections == 1


@pytest.mark.parametrize("limit", ["bytes", "seconds"])
async def test_an_end_that_doesnt_come_costs_the_connection(
    client: PlainHTTP, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(plain, "LINGER_SECONDS", 0.01 if limit == "seconds" else 60.0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n")
        while limit == "bytes":
            writer.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
            await writer.drain()
        await reader.read()
        raise ConnectionError

    async with serving(serve) as server:
        response = await client.post(server.url, b"{}", {})
        assert (await response.read())[:2] == b"ok"
        response.finish()
        async with asyncio.timeout(20):
            await server.gone.wait()


async def test_a_call_that_is_given_up_ends_at_the_server(client: PlainHTTP) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        await reader.read()
        raise ConnectionError

    async with serving(serve) as server:
        call = asyncio.create_task(client.post(server.url, b"{}", {}))
        async with asyncio.timeout(20):
            while not server.requests:
                await asyncio.sleep(0.001)
            call.cancel()
            await server.gone.wait()


async def test_hundreds_of_answers_at_once(client: PlainHTTP) -> None:
    arrived, go = 0, asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 300:
            go.set()
        await go.wait()
        writer.write(OK)

    async with serving(serve) as server:
        async with asyncio.timeout(60):
            assert await asyncio.gather(*(ask(client, server) for _ in range(300))) == [b"ok"] * 300
            assert await asyncio.gather(*(ask(client, server) for _ in range(300))) == [b"ok"] * 300
        assert server.connections == 300


async def test_closing_ends_what_still_runs(client: PlainHTTP) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbegin")
        await reader.read()

    async with serving(serve) as server:
        response = await client.post(server.url, b"{}", {})
        assert await response.read() == b"begin"
        await client.aclose()
        with pytest.raises(Ended):
            await response.read()
