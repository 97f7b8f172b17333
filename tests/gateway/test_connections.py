"""Connections as odd clients keep them: idle by the thousand, upgrading, unread, of HTTP/1.0."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from router_backend.gateway.http.connection import Joined
from tests.gateway.conftest import Running, Serve
from tests.gateway.test_disconnects import connect
from tests.gateway.test_process import GatewayProcess
from tests.support.scripted_upstream import Script, ScriptedUpstream

BODY = json.dumps({"model": "a", "messages": [{"role": "user", "content": "hé" * 40_000}]}, ensure_ascii=False).encode()


async def opened(gateway: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", gateway.port)


async def response(reader: asyncio.StreamReader) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of one response with a length."""
    head = await reader.readuntil(b"\r\n\r\n")
    status, *lines = head[:-4].split(b"\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in lines)
    return int(status.split()[1]), headers, await reader.readexactly(int(headers[b"content-length"]))


@pytest.mark.parametrize(
    "upgrade",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\n",
        b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
        b"Connection: upgrade\r\nConnection: keep-alive\r\nUpgrade: TLS/1.2, foo/3\r\n",
    ],
)
@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize("chunked", [False, True])
async def test_an_upgrade_is_ignored_and_the_body_is_whole(
    serve: Serve, upstream: ScriptedUpstream, upgrade: bytes, pieces: int, chunked: bool
) -> None:
    gateway = await serve(upstream)
    reader, writer = await opened(gateway)
    length = b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % len(BODY)
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY) if chunked else BODY
    raw = b"POST /v1/chat/completions HTTP/1.1\r\n" + upgrade + length + b"Host: localhost\r\n\r\n" + body
    for _ in range(2):  # the connection stays usable
        step = len(raw) // pieces + 1
        for at in range(0, len(raw), step):
            writer.write(raw[at : at + step])
            await writer.drain()
            await asyncio.sleep(0)
        status, _, answer = await response(reader)
        assert status == 200, answer
    assert [request["messages"][0]["content"] for request in upstream.requests] == ["hé" * 40_000] * 2
    writer.close()


async def test_requests_behind_an_upgrade_are_answered_in_order(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    reader, writer = await opened(gateway)
    plain = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
    writer.write((plain + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n") * 2 + plain + b"\r\n")
    for _ in range(3):
        assert (await response(reader))[0] == 200
    writer.close()


GOOD = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    "bad",
    [
        CHAT + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        CHAT + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":zz\r\n',
        CHAT + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        CHAT + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n",
        CHAT + b"Content-Length: nine\r\n\r\n",
        CHAT + b"Content-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        CHAT + b"Transfer-Encoding: chunked\r\nContent-Length: 40\r\n\r\n0\r\n\r\n",
        CHAT + b"Content-Length: 4\r\nContent-Length: 40\r\n\r\n",
        CHAT + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        CHAT + b"X-A : b\r\n\r\n",
        CHAT + b"X-A: b\r\n folded: c\r\n\r\n",
        b"GET / HTTP/1.1\nHost: localhost\n\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
    ids=[
        *("size", "second size", "negative", "overflow", "length", "both", "both turned", "two lengths", "not chunked"),
        *("space", "folded", "line feeds", "NUL", "TLS"),
    ],
)
@pytest.mark.parametrize("before", [0, 2])
async def test_what_is_no_http_gets_a_400_after_the_answers_to_what_came_before(
    serve: Serve, upstream: ScriptedUpstream, bad: bytes, before: int
) -> None:
    gateway = await serve(upstream)
    reader, writer = await opened(gateway)
    writer.write(GOOD * before + bad + GOOD)
    for _ in range(before):
        assert (await response(reader))[0] == 200
    status, headers, body = await response(reader)
    assert status == 400
    assert headers[b"connection"] == b"close"
    assert json.loads(body)["error"]["code"] == "invalid_http"
    assert not await reader.read()
    assert not upstream.requests
    writer.close()


@pytest.mark.parametrize(("count", "status"), [(8_000, 200), (17_000, 400)])
async def test_a_body_may_come_in_many_chunks_but_not_in_any_number(
    serve: Serve, upstream: ScriptedUpstream, count: int, status: int
) -> None:
    gateway = await serve(upstream)
    whole = json.dumps({"model": "a", "messages": [{"role": "user", "content": "x" * (count - 56)}]}).encode()
    reader, writer = await opened(gateway)
    writer.write(CHAT + b"Transfer-Encoding: chunked\r\n\r\n")
    writer.write(b"".join(b"1\r\n%c\r\n" % byte for byte in whole) + b"0\r\n\r\n")
    answered, _, body = await response(reader)
    assert answered == status, body
    if status == 400:
        assert json.loads(body)["error"]["code"] == "too_many_chunks"
    writer.close()


async def test_a_bad_end_of_a_body_that_has_its_answer_is_not_answered_twice(
    serve: Serve, upstream: ScriptedUpstream
) -> None:
    gateway = await serve(upstream)
    reader, writer = await opened(gateway)
    writer.write(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
    assert (await response(reader))[0] == 404
    writer.write(b"zz\r\n")
    assert not await reader.read()
    writer.close()


async def test_connect_is_refused(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    reader, writer = await opened(gateway)
    writer.write(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_a_new_connection_takes_the_place_of_the_longest_idle(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream, gateway={"max_connections": 10})
    assert (await gateway.chat(model="a")).status_code == 200  # its connection stays open
    idle = [await opened(gateway) for _ in range(9)]
    new = [await opened(gateway) for _ in range(3)]
    for reader, writer in new:
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await response(reader))[0] == 200
    async with asyncio.timeout(20):
        for reader, _ in idle[:3]:
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
    assert (await gateway.chat(model="a")).status_code == 200
    for _, writer in (*idle, *new):
        writer.close()


async def test_connections_at_work_are_not_closed_for_new_ones(serve: Serve, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(text=["a"] * 3, hang_after=2))
    gateway = await serve(upstream, gateway={"max_connections": 2})
    async with AsyncExitStack() as stack:
        for count in (1, 2):
            _, writer = await connect(gateway, stream=True)
            stack.callback(writer.close)
            await upstream.wait_running(count)
        reader, writer = await opened(gateway)
        stack.callback(writer.close)
        status, headers, body = await response(reader)
    assert status == 503
    assert headers[b"retry-after"]
    assert json.loads(body)["error"]["code"] == "too_many_connections"


async def test_a_thousand_idle_connections_shut_nobody_out(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("this system lets no process open 4,096 files")
    gateway = GatewayProcess(tmp_path, upstream)
    gateway.write("a")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        process = await gateway.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    writers = []
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", trust_env=False) as http:
            await gateway.until_live(http)
            for _ in range(1100):
                writers.append((await asyncio.open_connection("127.0.0.1", gateway.port))[1])
            async with httpx.AsyncClient(base_url=http.base_url, trust_env=False) as new:
                assert (await new.get("/health/live")).status_code == 200
    finally:
        for writer in writers:
            writer.close()
        process.kill()
        await process.communicate()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_reads_nothing_is_cut_off(serve: Serve, upstream: ScriptedUpstream, stream: bool) -> None:
    upstream.script(Script(text=["x" * 100_000] * 160))
    gateway = await serve(upstream, gateway={"write_seconds": 0.3})
    _, writer = await connect(gateway, stream=stream)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    async with asyncio.timeout(20):
        while not any(line.startswith("llm_router_requests_total{") for line in await metrics(gateway)):
            await asyncio.sleep(0.02)
        while len(gateway.connections) > 1:  # our own client's stays
            await asyncio.sleep(0.02)
    writer.close()


async def metrics(gateway: Running) -> list[str]:
    return (await gateway.http.get("/metrics")).text.splitlines()


async def test_what_waits_for_slow_readers_is_bounded(serve: Serve, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(text=["x" * 100_000] * 160))
    gateway = await serve(upstream)
    writers = []
    for count in range(1, 9):
        _, writer = await connect(gateway)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writers.append(writer)
        async with asyncio.timeout(20):
            while upstream.completed < count:
                await asyncio.sleep(0.01)
    async with asyncio.timeout(20):
        while sum(connection.transport.get_write_buffer_size() for connection in gateway.connections) > 64 * 2**20:
            await asyncio.sleep(0.02)
    assert 1 < len(gateway.connections) < 8
    for writer in writers:
        writer.close()


@pytest.mark.parametrize("stream", [False, True])
async def test_http_1_0_gets_no_chunks(serve: Serve, upstream: ScriptedUpstream, stream: bool) -> None:
    gateway = await serve(upstream)
    body = json.dumps({"model": "a", "messages": [{"role": "user", "content": "hi"}], "stream": stream}).encode()
    reader, writer = await opened(gateway)
    writer.write(b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    if stream:
        assert answer.startswith(b"data: ")
        assert answer.endswith(b"data: [DONE]\n\n")
    else:
        assert json.loads(answer)["choices"]
    writer.close()


class Written:
    """A transport that keeps what each write was."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.writes.append(b"".join(parts))

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        self.writes.append(b"closed")


async def test_a_head_and_the_body_that_follows_at_once_are_one_write() -> None:
    cycle, written = SimpleNamespace(response_started=False), Written()
    transport: Any = Joined(cycle, written, asyncio.get_running_loop())  # type: ignore[arg-type]
    transport.write(b"continue ")
    cycle.response_started = True
    transport.write(b"head ")
    transport.write(b"body")
    transport.write(b"more")
    assert written.writes == [b"continue ", b"head body", b"more"]


async def test_a_head_alone_leaves_in_the_next_turn_of_the_loop_and_before_the_end() -> None:
    written: list[Written] = [Written(), Written()]
    for one in written:
        transport: Any = Joined(SimpleNamespace(response_started=True), one, asyncio.get_running_loop())  # type: ignore[arg-type]
        transport.write(b"head")
        assert one.writes == []
    transport.close()
    await asyncio.sleep(0)
    assert [one.writes for one in written] == [[b"head"], [b"head", b"closed"]]
