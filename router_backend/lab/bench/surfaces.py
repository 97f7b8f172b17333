"""What each API costs beside chat: the same question in the words of all three, in turn, in another order each
round, on one system and one connection each."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from router_backend.lab.bench.client import Connection
from router_backend.lab.bench.targets import start_ours, start_upstream
from router_backend.lab.tables import table

_TURN = 50  # requests at once, before the next API's turn
_PAUSE = (
    0.3  # seconds before a turn: outcomes of the one before are still being reported, and would be charged to this one
)
_MODEL = "llama3-8b"  # named: a decision takes the same time on all APIs, and would hide what they add
_TEXT = "Why is the sky blue? Answer in one sentence, and name the effect."
_CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": _TEXT}]}
BODIES: dict[str, dict[str, Any]] = {
    "chat/completions": _CHAT | {"max_tokens": 64},
    "responses": {"input": _TEXT, "max_output_tokens": 64},
    "messages": _CHAT | {"max_tokens": 64},
}
"""By endpoint. Chat is the first: the others are compared with it."""
KINDS = ("whole", "first event", "whole stream")


@dataclass(slots=True)
class Times:
    """Of one API: by kind, a list of seconds for each round."""

    api: str
    rounds: dict[str, list[list[float]]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def medians(self, kind: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Milliseconds, of each round."""
        return 1e3 * np.array([np.median(times) for times in self.rounds[kind]])


async def run(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Times]:
    """The model's server without a router first, then each API. All take turns, so that a busy machine is busy for all."""
    upstream, upstream_port = await start_upstream(folder)
    try:
        ours = await start_ours(folder, upstream_port, twice=False)
        try:
            ways = [(Times("the model's server"), await _way(upstream_port, "chat/completions"))]
            ways += [(Times(api), await _way(ours.port, api)) for api in BODIES]
            for _, way in ways:
                await way.turn(Times("warm-up"))
            gc.collect()
            gc.freeze()
            for number in range(rounds):
                say(f"round {number + 1} of {rounds}")
                for times, way in random.Random(number).sample(ways, len(ways)):
                    await asyncio.sleep(_PAUSE)
                    await way.turn(times)
            for _, way in ways:
                way.connection.close()
            return [times for times, _ in ways]
        finally:
            ours.running.stop()
    finally:
        upstream.stop()


@dataclass(frozen=True, slots=True)
class _Way:
    """A connection, and the request in the words of one API, whole and streamed."""

    connection: Connection
    whole: bytes
    streamed: bytes

    async def turn(self, times: Times) -> None:
        whole = [await self.connection.send(self.whole) for _ in range(_TURN)]
        streamed = [await self.connection.send(self.streamed) for _ in range(_TURN)]
        times.rounds["whole"].append([answer.total for answer in whole])
        times.rounds["first event"].append([answer.first for answer in streamed])
        times.rounds["whole stream"].append([answer.total for answer in streamed])


async def _way(port: int, api: str) -> _Way:
    return _Way(await Connection.open(port), _request(port, api, stream=False), _request(port, api, stream=True))


def _request(port: int, api: str, stream: bool) -> bytes:
    body = orjson.dumps({"model": _MODEL, "stream": stream, **BODIES[api]})
    head = f"POST /v1/{api} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def added(times: Times, beside: Times, kind: str) -> tuple[float, float]:
    """Milliseconds more than `beside`: the mean over rounds of the medians' difference, and half of its 95 % interval."""
    differences = times.medians(kind) - beside.medians(kind)
    error = differences.std(ddof=1) / len(differences) ** 0.5 if len(differences) > 1 else float("nan")
    return float(differences.mean()), float(1.96 * error)


def markdown(found: list[Times]) -> Iterator[str]:
    """Two tables: what was measured, and what each API adds to chat."""
    yield from table(
        ["p50 / p95, ms", *KINDS], ([times.api, *(_spread(times, kind) for kind in KINDS)] for times in found)
    )
    yield ""
    _, chat, *others = found
    yield from table(
        ["more than chat, ms", *KINDS],
        ([times.api, *("{:+.3f} ± {:.3f}".format(*added(times, chat, kind)) for kind in KINDS)] for times in others),
    )


def _spread(times: Times, kind: str) -> str:
    p50, p95 = 1e3 * np.percentile(np.concatenate(times.rounds[kind]), (50, 95))
    return f"{p50:.2f} / {p95:.2f}"
