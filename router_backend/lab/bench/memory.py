"""Resident memory: over many requests once every cache is full, and of a thousand streams at once."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import tritonclient.grpc.aio as grpcclient

from router_backend.classifier.cached import ENTRY_BYTES
from router_backend.config.limits import RoutingConfig
from router_backend.lab.bench.load import closed_loop
from router_backend.lab.bench.processes import Usage, total
from router_backend.lab.bench.targets import Target
from router_backend.lab.bench.triton_models import infer
from router_backend.prompts.hints import QUESTION

log = logging.getLogger(__name__)
_CROWD = 1000  # streams at once
_FILLERS = 32  # requests at once that fill the cache
ENTRIES = RoutingConfig().classifier_cache_bytes // ENTRY_BYTES + 1


@dataclass(frozen=True, slots=True)
class Filled:
    """How the classifier's cache was filled."""

    entries: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Soak:
    """Resident megabytes by process, before and after so many requests."""

    requests: int
    rate: float
    failures: int
    before: dict[str, float]
    after: dict[str, float]
    filled: Filled

    def growth(self, part: str) -> float:
        return self.after[part] / self.before[part] - 1 if self.before.get(part) else 0.0


async def soak(target: Target, url: str, requests: int) -> Soak:
    """Memory over `requests` unseen prompts, from 16 clients, in the steady state.

    The classifier's cache is filled first: it is bounded, and filling it is no leak. A tenth of the requests goes ahead,
    too, and isn't counted.
    """
    assert target.running is not None
    filled = await fill_cache(url)
    await closed_loop(target.port, 16, target.requests(16, seed=70), 0, count=requests // 10)
    before = target.running.usage()
    load = await closed_loop(target.port, 16, target.requests(16, seed=71), 0, count=requests)
    after = target.running.usage()
    rate = load.count / load.seconds
    return Soak(load.count, rate, load.failures, _megabytes(before), _megabytes(after), filled)


async def fill_cache(url: str, entries: int = ENTRIES) -> Filled:
    """Ask `router`, which classifies for the gateway, about so many other prompts, without deciding for anybody."""
    started, numbers = time.perf_counter(), iter(range(entries))

    async def ask(client: Any) -> None:
        for number in numbers:
            question = orjson.dumps({"text_input": f"fill {number}"})
            await infer(client, "router", {QUESTION: np.array([[question]], object)}, {"dry_run": True})

    async with grpcclient.InferenceServerClient(url) as client:
        await asyncio.gather(*(ask(client) for _ in range(_FILLERS)))
    return Filled(entries, time.perf_counter() - started)


async def crowd(target: Target, rounds: int) -> dict[str, float]:
    """A thousand streams at once: chunks a second, and the process's memory before and after."""
    assert target.running is not None
    await closed_loop(target.port, _CROWD, target.requests(stream=True, seed=80), 0, count=_CROWD)
    before = total(target.running.usage()).rss
    load = await closed_loop(target.port, _CROWD, target.requests(stream=True, seed=81), 0, count=rounds * _CROWD)
    after = total(target.running.usage()).rss
    if load.failure:
        log.warning("of a thousand streams at once %d failed: %s", load.failures, load.failure)
    return {
        "streams at once": _CROWD,
        "streams": load.count,
        "failures": load.failures,
        "chunks/s": load.frames / load.seconds,
        "MB before": before / 1e6,
        "MB after": after / 1e6,
    }


def _megabytes(parts: dict[str, Usage]) -> dict[str, float]:
    return {part: usage.rss / 1e6 for part, usage in sorted(parts.items())}
