"""The phases that each target goes through, and the numbers that come out."""

from __future__ import annotations

import gc
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from router_backend.lab.bench.load import Load, closed_loop, open_loop
from router_backend.lab.bench.processes import Usage, total
from router_backend.lab.bench.prompts import TOKENS
from router_backend.lab.bench.targets import Target

CLIENTS = (1, 4, 16, 64)
_STREAM_CLIENTS = 16
_OPEN_RATE = 2000.0  # that the load generator keeps beside what it measures, on two cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Seconds of the phases."""

    warmup: float = 1.0
    closed: float = 3.0
    open: float = 4.0
    stream: float = 3.0
    triton: float = 4.0
    encoder: float = 2.0
    bodies: float = 5.0  # of each kind
    cores: float = 4.0  # of each target, on each number of cores
    aiperf_requests: int = 400
    feedback: int = 6_000  # scores, for each number of clients and writers
    log_events: int = 100_000  # that policies are rebuilt from
    bandits: int = 5_000  # choices
    crowd_rounds: int = 3  # of a thousand streams
    soak_requests: int = 50_000


QUICK = Plan(
    warmup=0.4,
    closed=0.7,
    open=0.7,
    stream=0.7,
    triton=0.7,
    encoder=0.5,
    bodies=1.0,
    cores=0.7,
    aiperf_requests=60,
    feedback=800,
    log_events=5_000,
    bandits=500,
    crowd_rounds=1,
    soak_requests=1_000,
)


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one phase. Milliseconds; `degraded` answers came from the default model, without a decision in time."""

    count: int
    rate: float  # answers a second
    p50: float
    p95: float
    p99: float
    failures: int = 0
    degraded: int = 0
    failure: str = ""


def latency(load: Load, samples: list[float] | None = None) -> Latency:
    values = load.totals if samples is None else samples
    p50, p95, p99 = np.percentile(values, (50, 95, 99)) * 1e3 if values else (float("nan"),) * 3
    rate = load.count / load.seconds if load.seconds else 0.0
    return Latency(
        load.count, rate, float(p50), float(p95), float(p99), load.failures, load.degraded, load.failure[:300]
    )


@dataclass(slots=True, kw_only=True)
class Measured:
    """One target's numbers."""

    name: str
    note: str = ""
    version: str = ""
    closed: dict[int, Latency] = field(default_factory=dict)  # by clients
    saturation: float = 0.0  # requests a second, the best of the closed loops
    open: dict[int, Latency] = field(default_factory=dict)  # by per cent of saturation
    first_chunk: Latency | None = None  # of streams, one client
    chunks_per_second: float = 0.0
    cpu_ms: float = 0.0  # processor time a request, all processes of the target, at 16 clients
    rss_mb: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


async def measure(target: Target, plan: Plan, version: str = "") -> Measured:
    """All phases of one target, one after the other."""
    result = Measured(name=target.name, note=target.note, version=version)
    seeds = iter(range(1, 1000))
    await closed_loop(target.port, 4, target.requests(seed=next(seeds)), plan.warmup)
    gc.collect()
    gc.freeze()
    for clients in CLIENTS:
        before = _usage(target)
        load = await closed_loop(target.port, clients, target.requests(seed=next(seeds)), plan.closed)
        used = _usage(target).cpu - before.cpu
        result.closed[clients] = latency(load)
        if clients == 16 and load.count:
            result.cpu_ms = 1e3 * used / load.count
    result.saturation = max(phase.rate for phase in result.closed.values())
    for percent in (50, 80):
        rate = min(max(1.0, result.saturation * percent / 100), _OPEN_RATE)
        load = await open_loop(target.port, rate, target.requests(seed=next(seeds)), plan.open)
        result.open[percent] = latency(load)
    load = await closed_loop(target.port, 1, target.requests(stream=True, seed=next(seeds)), plan.stream)
    result.first_chunk = latency(load, load.firsts)
    load = await closed_loop(target.port, _STREAM_CLIENTS, target.requests(stream=True, seed=next(seeds)), plan.stream)
    result.chunks_per_second = load.frames / load.seconds
    result.rss_mb = _usage(target).rss / 1e6
    return result


async def by_length(targets: list[Target], plan: Plan) -> dict[str, dict[int, Latency]]:
    """One client, by prompt length in tokens."""
    found: dict[str, dict[int, Latency]] = {}
    for target in targets:
        for tokens in TOKENS:
            load = await closed_loop(target.port, 1, target.requests(tokens, seed=900 + tokens), plan.closed)
            found.setdefault(target.name, {})[tokens] = latency(load)
    return found


def _usage(target: Target) -> Usage:
    return total(target.running.usage()) if target.running is not None else Usage()
