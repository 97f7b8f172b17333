"""What large bodies do to everybody else: four of 8 MB at once, again and again, while small requests are timed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import orjson
import uvloop

from router_backend.lab.bench.client import BadAnswer, Connection
from router_backend.lab.bench.processes import Running
from router_backend.lab.bench.targets import Ours, start_ours, start_upstream
from router_backend.lab.tables import table

SIZE = 8_000_000
_AT_ONCE = 4
_PAUSE_SECONDS = 0.005  # between two small requests
_PART = "router_backend.gateway"


@dataclass(frozen=True, slots=True)
class Found:
    """Of one kind of body."""

    kind: str
    answers: int  # to large requests
    longest: float  # seconds that a small request took at most
    p50: float
    grown: int  # bytes, of the gateway's resident memory


@dataclass(frozen=True, slots=True)
class Kind:
    """Of a large body: where it goes, and its fields, of which one comes near one of the gateway's limits."""

    path: str
    fields: dict[str, Any]


def kinds() -> dict[str, Kind | None]:
    """By name; None: no large body."""

    def nested(levels: int) -> Any:
        return {"k": nested(levels - 1)} if levels else 1

    many = [_message("x" * 80) for _ in range(60_000)]
    chat: dict[str, dict[str, Any]] = {
        "one text": {"messages": [_message("word " * (SIZE // 5))]},
        "many messages": {"messages": many},
        "nested objects": {"messages": [_message("hi")], "x": [nested(90) for _ in range(1000)], "y": "y" * 7_000_000},
        "strings": {"messages": [_message("hi")], "x": ["abcdef"] * 800_000},
    }
    return {
        "none": None,
        **{name: Kind("/v1/chat/completions", {**fields, "max_tokens": 16}) for name, fields in chat.items()},
        "Messages, many messages": Kind("/v1/messages", {"messages": many, "max_tokens": 16}),
        "Responses, many items": Kind("/v1/responses", {"input": many}),
    }


def _message(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


async def run(folder: Path, seconds: float, say: Callable[[str], None]) -> list[Found]:
    """Each kind for so many seconds, on one system."""
    upstream, port = await start_upstream(folder)
    try:
        ours = await start_ours(folder, port, twice=False)
        try:
            return await measure_bodies(ours, seconds, say)
        finally:
            ours.running.stop()
    finally:
        upstream.stop()


async def measure_bodies(ours: Ours, seconds: float, say: Callable[[str], None]) -> list[Found]:
    """Each kind for so many seconds, on a system that runs."""
    small = _request(ours.port, Kind("/v1/chat/completions", {"messages": [_message("hi")], "max_tokens": 16}))
    found = []
    for kind, body in kinds().items():
        say(f"small requests beside bodies of 8 MB: {kind}")
        large = _request(ours.port, body) if body else None
        found.append(await _one(ours.port, ours.running, kind, large, small, seconds))
    return found


def _request(port: int, kind: Kind) -> bytes:
    body = orjson.dumps({"model": "llama3-8b", **kind.fields})
    return b"POST %b HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\n" % (
        kind.path.encode(),
        port,
    ) + (b"content-length: %d\r\n\r\n%b" % (len(body), body))


async def _one(port: int, running: Running, kind: str, large: bytes | None, small: bytes, seconds: float) -> Found:
    waits: list[float] = []
    rss = before = running.usage()[_PART].rss
    # A process of its own: what it costs to send large bodies must not count as somebody's wait.
    with ProcessPoolExecutor(1, get_context("spawn")) as other:
        loading = asyncio.get_running_loop().run_in_executor(other, _load, port, large, seconds)
        connection = await Connection.open(port)
        while not loading.done():
            waits.append((await connection.send(small)).total)
            rss = max(rss, running.usage()[_PART].rss)
            await asyncio.sleep(_PAUSE_SECONDS)
        connection.close()
        answers = await loading
    waits.sort()
    return Found(kind, answers, waits[-1], waits[len(waits) // 2], rss - before)


def _load(port: int, large: bytes | None, seconds: float) -> int:
    """Answers to large requests; one that finds no room is none."""
    until = time.monotonic() + seconds

    async def one() -> int:
        answers = 0
        while time.monotonic() < until:
            if large is None:
                await asyncio.sleep(0.1)
                continue
            connection = await Connection.open(port)
            try:
                await connection.send(large)
                answers += 1
            except BadAnswer as error:
                if "HTTP/1.1 503" not in str(error):
                    raise
            finally:
                connection.close()
        return answers

    async def all_of_them() -> int:
        return sum(await asyncio.gather(*(one() for _ in range(_AT_ONCE))))

    return uvloop.run(all_of_them())


def markdown(found: list[Found]) -> Iterator[str]:
    """The table."""
    rows = (
        [one.kind, one.answers, f"{1e3 * one.p50:.1f}", f"{1e3 * one.longest:.0f}", f"{one.grown / 1e6:+.0f}"]
        for one in found
    )
    header = ["bodies of 8 MB", "answered", "small requests: p50 ms", "longest ms", "memory MB"]
    yield from table(header, rows)
