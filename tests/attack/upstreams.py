"""What a hostile or broken upstream does with one request: a function each. A new behaviour is a new function here.

Each gets the random numbers of its run and the connection, after the request has been read, and writes raw bytes. None
answers 400 or 422: such a status is the client's fault, and rightly reaches the client of a routed request.
"""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from asyncio import StreamWriter
from collections.abc import Awaitable, Callable
from typing import Any

Behaviour = Callable[[random.Random, StreamWriter], Awaitable[None]]
MEGABYTE = 1024 * 1024
SURROGATE = "\ud800"


def head(kind: str = "text/event-stream", status: str = "200 OK", *more: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Type: {kind}", "Connection: close", *more, "", ""]).encode()


def event(delta: Any = None, finish: Any = None, **fields: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": "x"} if delta is None else delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "created": 1, "choices": [choice], **fields}).encode() + b"\n\n"


def answer(**fields: Any) -> bytes:
    """A whole stream."""
    return head() + event() + event({}, "stop", **fields) + b"data: [DONE]\n\n"


async def pour(writer: StreamWriter, piece: bytes, megabytes: int) -> None:
    """So many bytes, as fast as the other side takes them."""
    for _ in range(megabytes * MEGABYTE // len(piece)):
        writer.write(piece)
        await writer.drain()


async def says_nothing(rng: random.Random, writer: StreamWriter) -> None:
    await asyncio.sleep(60)


async def says_nothing_after_its_head(rng: random.Random, writer: StreamWriter) -> None:
    writer.write(head() + (event({"role": "assistant"}) if rng.random() < 0.5 else b""))
    await asyncio.sleep(60)


async def falls_silent(rng: random.Random, writer: StreamWriter) -> None:
    writer.write(head() + event() * rng.randrange(1, 9))
    await asyncio.sleep(60)


async def resets(rng: random.Random, writer: StreamWriter) -> None:
    writer.transport.abort()


async def cuts(rng: random.Random, writer: StreamWriter) -> None:
    whole = answer(usage={"prompt_tokens": 1, "completion_tokens": 2})
    writer.write(whole[: rng.randrange(len(whole))])


async def fails(rng: random.Random, writer: StreamWriter) -> None:
    status = rng.choice([100, 204, 301, 307, 401, 402, 404, 405, 418, 429, 451, 500, 502, 503, 529, 999])
    error = {"error": {"message": SURROGATE + "x" * rng.choice([1, 100_000]), "code": SURROGATE, "type": 5}}
    body = json.dumps(error).encode()
    writer.write(head("application/json", f"{status} X", f"Content-Length: {len(body)}", "Retry-After: 1e300") + body)


async def redirects(rng: random.Random, writer: StreamWriter) -> None:
    target = rng.choice(["/v1/chat/completions", "http://127.0.0.1:9/", "//", "http://[", "\u00e9"])
    writer.write(head("text/html", "307 Temporary Redirect", f"Location: {target}", "Content-Length: 0"))


async def sends_headers_without_end(rng: random.Random, writer: StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    await pour(writer, b"x-filler: " + b"x" * 1000 + b"\r\n", 64)


async def floods_with_comments(rng: random.Random, writer: StreamWriter) -> None:
    writer.write(head())
    await pour(writer, rng.choice([b":\n", b": x\n\n", b": " + b"x" * 1000 + b"\n"]) * 200, 128)


async def floods_with_empty_data(rng: random.Random, writer: StreamWriter) -> None:
    writer.write(head())
    await pour(writer, rng.choice([b"data:\n", b"data: \n\n", b"data\n", b"event: x\n"]) * 500, 64)


async def floods_with_content(rng: random.Random, writer: StreamWriter) -> None:
    writer.write(head())
    await pour(writer, event({"content": "x" * rng.choice([1, 1000, 60_000])}), rng.choice([4, 32]))
    writer.write(event({}, "stop") + b"data: [DONE]\n\n")


async def floods_with_role(rng: random.Random, writer: StreamWriter) -> None:
    """Events without content, which are held back before the first content."""
    writer.write(head())
    await pour(writer, event({"role": "assistant"}) * 100, 64)


async def writes_a_line_without_end(rng: random.Random, writer: StreamWriter) -> None:
    writer.write(head() + b"data: ")
    await pour(writer, b"x" * 100_000, 64)


async def writes_a_body_without_end(rng: random.Random, writer: StreamWriter) -> None:
    writer.write(head("application/json") + b'{"choices": [{"message": {"content": "')
    await pour(writer, b"x" * 100_000, 96)


async def compresses_a_bomb(rng: random.Random, writer: StreamWriter) -> None:
    """Some 200 MB of comments or blanks in some 200 KB."""
    name, bits = rng.choice([("gzip", 31), ("deflate", 15)])
    packer = zlib.compressobj(9, zlib.DEFLATED, bits)
    kind, piece = rng.choice([("text/event-stream", b":\n"), ("text/event-stream", b" "), ("application/json", b" ")])
    writer.write(head(kind, "200 OK", f"Content-Encoding: {name}"))
    piece *= MEGABYTE // len(piece)
    for _ in range(200):
        writer.write(packer.compress(piece))
        await writer.drain()
    writer.write(packer.flush())


async def lies_about_its_encoding(rng: random.Random, writer: StreamWriter) -> None:
    writer.write(head("text/event-stream", "200 OK", f"Content-Encoding: {rng.choice(['gzip', 'br', 'zstd', 'x'])}"))
    writer.write(rng.randbytes(1000))


async def lies_about_its_length(rng: random.Random, writer: StreamWriter) -> None:
    body = b'{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}'
    length = rng.choice(["0", str(len(body) - 1), str(len(body) + 1), "-1", "9" * 30, "x"])
    writer.write(head("application/json", "200 OK", f"Content-Length: {length}") + body + b"\0" * rng.choice([0, 9]))


async def breaks_its_chunks(rng: random.Random, writer: StreamWriter) -> None:
    writer.write(head("text/event-stream", "200 OK", "Transfer-Encoding: chunked"))
    writer.write(
        rng.choice([b"zz\r\nxx\r\n", b"-5\r\n", b"f" * 40 + b"\r\n", b"5\r\ndata:", b"0\r\n" + b"a: b\r\n" * 9000])
    )


async def goes_on_after_its_end(rng: random.Random, writer: StreamWriter) -> None:
    writer.write(answer())
    await pour(writer, rng.choice([event(), b":\n" * 100, b"\0" * 1000]), 32)


async def drips(rng: random.Random, writer: StreamWriter) -> None:
    for byte in answer():
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.005)


async def opens_many_choices(rng: random.Random, writer: StreamWriter) -> None:
    writer.write(head())
    for start in range(0, 100_000, 500):
        choices = [{"index": start + at, "delta": {"content": "x"}} for at in range(500)]
        writer.write(b"data: " + json.dumps({"choices": choices}).encode() + b"\n\n")
        await writer.drain()


async def opens_many_tool_calls(rng: random.Random, writer: StreamWriter) -> None:
    writer.write(head())
    for at in range(20_000):
        call = {"index": at, "id": f"c{at}", "function": {"name": "f" * 100, "arguments": "{"}}
        writer.write(event({"tool_calls": [call]}))
        await writer.drain()
    writer.write(event({}, "tool_calls") + b"data: [DONE]\n\n")


async def nests_deeply(rng: random.Random, writer: StreamWriter) -> None:
    depth = rng.choice([200, 2000, 2_000_000])
    kind = rng.choice(["text/event-stream", "application/json"])
    writer.write(head(kind) + b"data: " * (kind != "application/json") + rng.choice([b"[", b'{"a":']) * depth + b"\n\n")


async def ends_with_strange_values(rng: random.Random, writer: StreamWriter) -> None:
    strange: list[Any] = [SURROGATE, "x" * 4 * MEGABYTE, None, True, -1, 1e300, 10**26, float("nan"), [], {}, [[]], ""]

    def one() -> Any:
        return rng.choice(strange)

    usage = {name: one() for name in ("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details")}
    fields = {"usage": usage, "id": one(), "created": one(), "model": one(), "object": one(), "service_tier": one()}
    writer.write(head() + event({"content": one(), "role": one(), "tool_calls": one()}))
    writer.write(event({}, one(), **fields) + b"data: [DONE]\n\n")


async def garbles(rng: random.Random, writer: StreamWriter) -> None:
    """A good answer with some bytes changed, anywhere."""
    data = bytearray(answer(usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}))
    for _ in range(rng.randrange(1, 12)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    writer.write(data)


async def talks_another_protocol(rng: random.Random, writer: StreamWriter) -> None:
    writer.write(
        rng.choice([b"SSH-2.0-x\r\n", b"\x16\x03\x01" + rng.randbytes(300), b"HTTP/9 7\r\n\r\n", b"\0" * 4000])
    )


UPSTREAMS: dict[str, Behaviour] = {
    made.__name__: made
    for made in (
        says_nothing,
        says_nothing_after_its_head,
        falls_silent,
        resets,
        cuts,
        fails,
        redirects,
        sends_headers_without_end,
        floods_with_comments,
        floods_with_empty_data,
        floods_with_content,
        floods_with_role,
        writes_a_line_without_end,
        writes_a_body_without_end,
        compresses_a_bomb,
        lies_about_its_encoding,
        lies_about_its_length,
        breaks_its_chunks,
        goes_on_after_its_end,
        drips,
        opens_many_choices,
        opens_many_tool_calls,
        nests_deeply,
        ends_with_strange_values,
        garbles,
        talks_another_protocol,
    )
}
