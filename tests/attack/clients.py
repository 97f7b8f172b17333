"""What a hostile or broken client does with one or some connections: a function each. A new behaviour is a new function."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

Behaviour = Callable[[random.Random, int], Awaitable[None]]
SECONDS = 20.0
"""How long a client waits for an answer that may never come."""


@contextlib.asynccontextmanager
async def connection(port: int) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def post(body: bytes, path: str = "/v1/chat/completions", *headers: str, length: int | None = None) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*lines, "Content-Type: application/json", *headers, "", ""]).encode() + body


def chat(model: str = "bad", **fields: Any) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], **fields}).encode()


async def send(port: int, raw: bytes) -> None:
    """Write it all and read what comes for a while."""
    async with connection(port) as (reader, writer):
        writer.write(raw)
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                while await reader.read(1 << 20):
                    pass


async def asks_the_bad_model(rng: random.Random, port: int) -> None:
    await send(
        port, post(chat(stream=rng.random() < 0.5, n=rng.choice([1, 8])), "/v1/chat/completions", "Connection: close")
    )


async def leaves_early(rng: random.Random, port: int) -> None:
    async with connection(port) as (reader, writer):
        writer.write(post(chat(rng.choice(["auto", "good", "bad"]), stream=rng.random() < 0.7)))
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rng.random()):
                await reader.read(rng.choice([1, 300]))


async def reads_nothing(rng: random.Random, port: int) -> None:
    async with connection(port) as (reader, writer):
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(20):
            writer.write(post(chat(rng.choice(["bad", "good"]), stream=True)))
        await asyncio.sleep(rng.uniform(1, 10))


async def sends_its_head_slowly(rng: random.Random, port: int) -> None:
    async with connection(port) as (_, writer):
        for byte in post(chat())[: rng.randrange(20, 120)]:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
        await asyncio.sleep(rng.uniform(0, 10))


async def sends_its_body_slowly(rng: random.Random, port: int) -> None:
    async with connection(port) as (_, writer):
        writer.write(post(b"{", length=rng.choice([100, 8_000_000])))
        for _ in range(100):
            writer.write(b" ")
            await asyncio.sleep(0.05)


async def opens_idle_connections(rng: random.Random, port: int) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(100):
            await stack.enter_async_context(connection(port))
        await asyncio.sleep(rng.uniform(1, 5))


async def sends_a_nested_body(rng: random.Random, port: int) -> None:
    depth = rng.choice([300, 100_000, 4_000_000])
    await send(port, post(rng.choice([b"[", b'{"a":', b'{"messages":[']) * depth))


async def sends_many_values(rng: random.Random, port: int) -> None:
    unit = rng.choice([b"{},", b"1,", b'"",', b'{"role":"user","content":"x"},'])
    await send(port, post(b'{"model":"auto","messages":[' + unit * (4_000_000 // len(unit)) + b"{}]}"))


async def sends_a_large_prompt(rng: random.Random, port: int) -> None:
    text = rng.choice(["x", "\u3042", "\U0001f600", "\\u00e9", "\0"]) * rng.choice([100_000, 1_000_000])
    await send(
        port,
        post(
            chat(
                rng.choice(["auto", "bad"]),
                user=text[:50_000],
                stop=[text[:1000]] * 4,
                messages=[{"role": "user", "content": text}],
            )
        ),
    )


async def sends_too_much(rng: random.Random, port: int) -> None:
    await send(port, post(b" " * 12_000_000))


async def invents_names(rng: random.Random, port: int) -> None:
    """Models, sessions, keys, hints and paths that nobody else uses: none may become a label or be kept for good."""
    raw = b""
    for _ in range(100):
        word = "".join(rng.choices("abcdefghij", k=rng.choice([8, 3000])))
        headers = (
            f"Authorization: Bearer {word}",
            f"x-router-session: {word}",
            f"x-request-id: {word}",
            f"x-router-policy: {word}",
        )
        raw += post(chat(word, user=word), rng.choice(["/v1/chat/completions", f"/{word}"]), *headers)
    await send(port, raw)


async def pipelines(rng: random.Random, port: int) -> None:
    await send(port, post(chat(rng.choice(["good", "auto"]))) * rng.choice([50, 200]))


async def upgrades(rng: random.Random, port: int) -> None:
    headers = (
        "Connection: Upgrade, HTTP2-Settings",
        f"Upgrade: {rng.choice(['h2c', 'websocket'])}",
        "HTTP2-Settings: AAEAAEAA",
    )
    await send(port, post(chat("good"), "/v1/chat/completions", *headers) + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")


async def sends_small_chunks(rng: random.Random, port: int) -> None:
    body = b"1\r\n \r\n" * 300_000 + rng.choice([b"0\r\n\r\n", b"zz\r\n", b"0\r\n" + b"a: b\r\n" * 9000])
    await send(
        port, b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    )


async def sends_noise(rng: random.Random, port: int) -> None:
    start = rng.choice(
        [
            b"",
            b"GET / HTTP/1.1\r\n",
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n",
        ]
    )
    await send(port, start + rng.randbytes(rng.choice([10, 1000, 100_000])))


async def garbles_its_request(rng: random.Random, port: int) -> None:
    raw = bytearray(post(chat(rng.choice(["auto", "good"]), temperature=1, tools=[], stream=True)))
    for _ in range(rng.randrange(1, 8)):
        raw[rng.randrange(len(raw))] = rng.randrange(256)
    await send(port, bytes(raw))


async def compresses_its_body(rng: random.Random, port: int) -> None:
    name = rng.choice(["gzip", "br", "Identity", "x"])
    await send(port, post(chat("good"), "/v1/chat/completions", f"Content-Encoding: {name}"))


async def comes_from_another_site(rng: random.Random, port: int) -> None:
    paths = ("/admin/config", "/v1/models", "/metrics", "/v1/chat/completions", "/health/ready")
    raw = f"GET {rng.choice(paths)} HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n\r\n"
    await send(port, raw.encode() * 20)


async def scores_what_it_never_asked(rng: random.Random, port: int) -> None:
    bodies = [
        {
            "decision_id": rng.choice(
                [f"0190{rng.getrandbits(32):08x}-0000-7000-8000-000000000000", "x" * 9000, "", None, 5]
            ),
            "score": rng.choice([0, 1, -1, 1e300, "1", None, True]),
            "cost_usd": rng.choice([0, -1, 1e6, "1", None]),
            "tags": rng.choice([None, {"x" * 3000: "y"}, [[]]]),
        }
        for _ in range(30)
    ]
    await send(port, b"".join(post(json.dumps(body).encode(), "/v1/feedback") for body in bodies))


CLIENTS: dict[str, Behaviour] = {
    made.__name__: made
    for made in (
        asks_the_bad_model,
        leaves_early,
        reads_nothing,
        sends_its_head_slowly,
        sends_its_body_slowly,
        opens_idle_connections,
        sends_a_nested_body,
        sends_many_values,
        sends_a_large_prompt,
        sends_too_much,
        invents_names,
        pipelines,
        upgrades,
        sends_small_chunks,
        sends_noise,
        garbles_its_request,
        compresses_its_body,
        comes_from_another_site,
        scores_what_it_never_asked,
    )
}
