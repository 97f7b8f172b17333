"""What clients' libraries accept of a server, the router accepts: nothing is paid twice."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from router_backend.forwarding.engine import build_engine
from router_backend.forwarding.failure import ForwardError
from router_backend.forwarding.stream import sse
from router_backend.forwarding.stream.sse import EventTooLarge, SSEParser
from router_backend.forwarding.upstreams import openai
from tests.support.arms import model, router_config
from tests.support.asking import answer_text, ask

CHUNK = b'{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}'
WHOLE = b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}'


@asynccontextmanager
async def raw_server(answer: Callable[[bytes, int], bytes]) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that writes `answer(path, count)` to each request, byte for byte."""
    paths: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        paths.append(head.split(b" ", 2)[1])
        writer.write(answer(paths[-1], len(paths)))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", paths


def reply(stream: bool, status: bytes = b"200 OK", kind: bytes | None = None, headers: bytes = b"") -> bytes:
    body = b"data: " + CHUNK + b"\n\ndata: [DONE]\n\n" if stream else WHOLE
    lines = b"content-type: " + kind + b"\r\n" if kind else b""
    return b"HTTP/1.1 %s\r\n%s%sconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (
        status,
        lines,
        headers,
        len(body),
        body,
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "odd",
    [
        {"kind": b"text/plain"},
        {"kind": b"text/plain; charset=utf-8"},
        {"kind": None},
        {"status": b"201 Created", "kind": b"text/event-stream"},
        {"headers": b"x-policy: " + b"x" * 20_000 + b"\r\n", "kind": b"text/event-stream"},
    ],
    ids=["plain", "plain with a charset", "no type", "201", "large headers"],
)
async def test_odd_answers_are_answers(odd: dict[str, Any], stream: bool) -> None:
    async with raw_server(lambda path, count: reply(stream, **odd)) as (url, paths):
        engine = build_engine(router_config([model("a", url)]))
        assert await answer_text(await engine.forward(ask("a", stream=stream))) == "Hi"
        assert len(paths) == 1
        await engine.aclose()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("connection", [b"close", b"keep-alive"])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    "rest", [b"\n", b"x", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"\0" * 9000]
)
async def test_bytes_after_a_complete_body_cost_no_answer(
    rest: bytes, chunked: bool, connection: bytes, stream: bool
) -> None:
    body = b"data: " + CHUNK + b"\n\ndata: [DONE]\n\n" if stream else WHOLE
    kind = b"text/event-stream" if stream else b"application/json"
    framing = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % len(body)
    framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\nconnection: %s\r\n%s\r\n\r\n" % (kind, connection, framing)
    async with raw_server(lambda path, count: head + framed + rest) as (url, paths):
        engine = build_engine(router_config([model("a", url)]))
        for count in (1, 2):
            assert await answer_text(await engine.forward(ask("a", stream=stream))) == "Hi"
            assert len(paths) == count  # nothing is paid twice
        await engine.aclose()


@pytest.mark.parametrize("status", [b"307 Temporary Redirect", b"308 Permanent Redirect"])
async def test_redirects_within_the_server_are_followed(status: bytes) -> None:
    moved = b"HTTP/1.1 %s\r\nlocation: /v2/chat\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status
    async with raw_server(lambda path, count: reply(False) if path == b"/v2/chat" else moved) as (url, paths):
        engine = build_engine(router_config([model("a", url)]))
        assert await answer_text(await engine.forward(ask("a"))) == "Hi"
        assert paths == [b"/v1/chat/completions", b"/v2/chat"]
        await engine.aclose()


@pytest.mark.parametrize(
    "location", [b"/v1/chat/completions", b"http://127.0.0.1:1/x", b"https://127.0.0.1/x", b"//", b""]
)
async def test_no_redirect_leads_to_another_server_or_round_and_round(location: bytes) -> None:
    moved = b"HTTP/1.1 307 T\r\nlocation: %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % location
    async with raw_server(lambda path, count: moved) as (url, paths):
        engine = build_engine(router_config([model("a", url)], retries={"attempts": 1}))
        with pytest.raises(ForwardError, match=r"check upstream\.base_url"):
            await engine.forward(ask("a"))
        assert len(paths) <= 4
        await engine.aclose()


async def test_the_limit_to_connect_covers_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_: Any, **__: Any) -> Awaitable[Any]:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", silent)
    config = router_config(
        [model("a", "http://upstream.invalid/v1")], timeouts={"connect": 0.1}, retries={"attempts": 1}
    )
    engine = build_engine(config)
    with pytest.raises(ForwardError) as failed:
        await engine.forward(ask("a"))
    assert failed.value.error.code == "timeout_connect"
    await engine.aclose()


@pytest.mark.parametrize("line", [b"x-filler: " + b"x" * 1000 + b"\r\n", b"a: b\r\n" * 100, b"x" * 1000], ids=len)
async def test_headers_without_end_are_bounded(line: bytes) -> None:
    ended = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal ended
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        with contextlib.suppress(OSError):
            for _ in range(16 * 2**20 // len(line)):
                writer.write(line)
                await writer.drain()
        ended += 1
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        engine = build_engine(router_config([model("a", url)], retries={"attempts": 1}))
        tracemalloc.start()
        try:
            with pytest.raises(ForwardError) as error:
                await engine.forward(ask("a", named=True))
            async with asyncio.timeout(20):
                while not ended:
                    await asyncio.sleep(0.01)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            await engine.aclose()
    assert error.value.error.status == 502
    assert peak < 8 * 2**20


def bomb(coding: str, piece: bytes, megabytes: int = 100) -> bytes:
    """So many megabytes of one piece, again and again, in a thousandth of that."""
    packer = zlib.compressobj(9, zlib.DEFLATED, {"gzip": 31, "deflate": 15}[coding])
    packed = [packer.compress(piece * (2**20 // len(piece))) for _ in range(megabytes)]
    return b"".join([*packed, packer.flush()])


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    ("stream", "kind", "piece"),
    [(False, b"application/json", b" "), (True, b"text/event-stream", b":\n"), (True, b"text/event-stream", b" ")],
    ids=["body", "comments", "a line"],
)
async def test_what_is_small_only_while_it_is_packed_is_bounded(
    monkeypatch: pytest.MonkeyPatch, coding: str, stream: bool, kind: bytes, piece: bytes
) -> None:
    limit = 2**20
    monkeypatch.setattr(openai, "MAX_BODY_BYTES", limit)
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", limit)
    packed = bomb(coding, piece)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-encoding: %s\r\nconnection: close\r\n\r\n"
    async with raw_server(lambda path, count: head % (kind, coding.encode()) + packed) as (url, paths):
        engine = build_engine(router_config([model("a", url)], retries={"attempts": 1}))
        tracemalloc.start()
        try:
            with pytest.raises(ForwardError) as error:
                await engine.forward(ask("a", named=True, stream=stream))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            await engine.aclose()
    assert error.value.error.status == 502
    assert len(paths) == 1
    assert peak < 16 * limit


def test_keep_alives_between_events_are_not_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100_000)
    parser, pause = SSEParser(), b": keep-alive\n\n" * 5_000
    for _ in range(4):
        assert parser.feed(pause + b"data: x\n\n") == [b"x"]


@pytest.mark.parametrize(
    "line", [b"data:\n", b":\n", b": keep-alive\n\n", b"event: ping\n\n", b"\n", b"data: \n\n", b"x"]
)
def test_what_is_no_event_is_bounded(monkeypatch: pytest.MonkeyPatch, line: bytes) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100_000)
    parser, lines = SSEParser(), line * 1_000
    with pytest.raises(EventTooLarge):
        for _ in range(200):
            parser.feed(lines)


@pytest.mark.parametrize("line", [b":\n", b"data:\n", b"event: x\r\n", b"\n", b"\r", b"data: \n\n"])
def test_lines_without_an_event_are_bounded(line: bytes) -> None:
    parser, piece = SSEParser(), line * 1000
    with pytest.raises(EventTooLarge, match="lines"):
        for _ in range(sse.MAX_EVENT_LINES // 500):
            parser.feed(piece)


def test_an_event_may_have_many_lines() -> None:
    parser = SSEParser()
    pretty = b"".join(b"data: %d\n" % at for at in range(60_000))
    assert parser.feed(pretty + b"\n") == [b"\n".join(b"%d" % at for at in range(60_000))]


async def test_a_flood_of_events_lets_others_run() -> None:
    """Between two of its pieces the loop turns, however much has been read at once."""
    flood = b'data: {"choices":[]}\n\n' * 5_000
    body = flood + b"data: " + CHUNK + b"\n\ndata: [DONE]\n\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    async with raw_server(lambda path, count: head % len(body) + body) as (url, _):
        engine = build_engine(router_config([model("a", url)]))
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counter = asyncio.create_task(count())
        answer = await engine.forward(ask("a", stream=True))
        chunks = [orjson.loads(chunk) async for chunk in answer.chunks()]  # type: ignore[union-attr]
        counter.cancel()
        assert len(chunks) == 5_001
        assert turns >= 5_001 // 32
        await engine.aclose()
