"""The load generator against the static upstream: what it sends, counts and notes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router_backend.lab.bench import prompts
from router_backend.lab.bench.client import BadAnswer, Connection
from router_backend.lab.bench.load import closed_loop, open_loop
from router_backend.lab.bench.measure import latency
from router_backend.lab.bench.processes import Running, free_port
from router_backend.lab.bench.targets import direct, start_upstream
from router_backend.lab.bench.upstream import CHUNKS


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[tuple[Running, int]]:
    running, port = await start_upstream(tmp_path)
    yield running, port
    running.stop()


async def test_a_closed_loop_sends_as_many_requests_as_it_is_told(upstream: tuple[Running, int]) -> None:
    load = await closed_loop(upstream[1], 4, direct(upstream[1]).requests(), 0, count=50)
    assert (load.count, load.failures) == (50, 0)
    assert all(0 < first <= total for first, total in zip(load.firsts, load.totals, strict=True))


async def test_the_chunks_of_a_stream_are_counted(upstream: tuple[Running, int]) -> None:
    load = await closed_loop(upstream[1], 2, direct(upstream[1]).requests(stream=True), 0, count=6)
    assert load.frames == 6 * (CHUNKS + 1)  # the first carries the role and an empty content


async def test_an_open_loop_keeps_its_rate(upstream: tuple[Running, int]) -> None:
    load = await open_loop(upstream[1], 100, direct(upstream[1]).requests(), 1.0)
    assert 60 < load.count < 150
    assert load.failures == 0


async def test_an_upstream_that_ends_is_a_failure_not_a_latency(upstream: tuple[Running, int]) -> None:
    running, port = upstream
    connection = await Connection.open(port)
    running.stop()
    with pytest.raises(BadAnswer, match="closed"):
        await connection.send(direct(port).requests()())


async def test_an_error_status_is_a_failure_with_its_words() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 503 Busy\r\ncontent-length: 8\r\n\r\n{"no":1}')

    port = free_port()
    async with await asyncio.start_server(refuse, "127.0.0.1", port):
        connection = await Connection.open(port)
        with pytest.raises(BadAnswer, match="503 Busy"):
            await connection.send(b"POST / HTTP/1.1\r\n\r\n")
        connection.close()


async def test_an_answer_may_come_in_any_pieces() -> None:
    whole = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12\r\ndata: {"content":}\r\n0\r\n\r\n'

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            for byte in whole:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)

    port = free_port()
    async with await asyncio.start_server(drip, "127.0.0.1", port):
        connection = await Connection.open(port)
        assert (await connection.send(b"GET / HTTP/1.1\r\n\r\n")).frames == 1
        assert (await connection.send(b"GET / HTTP/1.1\r\n\r\n")).frames == 1
        connection.close()


def test_unseen_prompts_never_repeat_and_repeated_ones_always_do() -> None:
    unseen, seen = (prompts.requests("auto", 64, unseen=fresh) for fresh in (True, False))
    assert len({unseen() for _ in range(200)}) == 200
    assert len({seen() for _ in range(20)}) == 1


def test_usage_adds_up_the_processes_of_a_group(tmp_path: Path) -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import signal; signal.pause()'])"
    # Not the first python3 of the path, which may be a script that starts others on its way.
    running = Running.start("pair", [sys.executable, "-c", code], tmp_path / "log")
    try:
        usage = running.usage()
        while (
            len(usage) < 2 or min(part.rss for part in usage.values()) < 1_000_000
        ) and running.process.poll() is None:
            usage = running.usage()
        assert len(usage) == 2
    finally:
        running.stop()


async def test_percentiles_are_milliseconds(upstream: tuple[Running, int]) -> None:
    load = await closed_loop(upstream[1], 1, direct(upstream[1]).requests(), 0, count=20)
    found = latency(load)
    assert found.p50 <= found.p95 <= found.p99
    assert found.p50 == pytest.approx(1e3 * sorted(load.totals)[10], rel=0.5)
