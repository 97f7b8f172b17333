"""What one and two cores serve: the system pinned to so many, as `taskset` does it; the load comes from the others where it can."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from router_backend.lab.bench.load import closed_loop
from router_backend.lab.bench.measure import Latency, latency
from router_backend.lab.bench.targets import start_ours, start_upstream
from router_backend.lab.tables import table

COUNTS = (1, 2)
CLIENTS = 16
_FREE = 0.1  # of a part's cores: less is left where they are the limit


@dataclass(frozen=True, slots=True)
class OnCores:
    """Of one target, on so many cores, at `CLIENTS` clients."""

    target: str
    cores: int
    served: Latency
    cpu_ms: float  # processor time a request, all processes of the system
    used: float  # cores that it kept busy
    largest: str  # the part that took most
    largest_used: float  # cores that this part kept busy


async def run(folder: Path, seconds: float, say: Callable[[str], None]) -> list[OnCores]:
    """On an upstream of its own."""
    upstream, port = await start_upstream(folder)
    try:
        return await measure_cores(folder, port, seconds, say)
    finally:
        upstream.stop()


async def measure_cores(folder: Path, upstream: int, seconds: float, say: Callable[[str], None]) -> list[OnCores]:
    """Each target on each number of cores that there are; a start of the system for each number."""
    there = sorted(os.sched_getaffinity(0))
    found: list[OnCores] = []
    for count in (count for count in COUNTS if count <= len(there)):
        say(f"llm-router on {count} of {len(there)} cores")
        ours = await start_ours(folder, upstream, twice=False, cores=there[:count])
        os.sched_setaffinity(0, there[count:] or there)
        try:
            for target in ours.targets():
                await closed_loop(target.port, 4, target.requests(seed=50 + count), seconds / 3)
                before = ours.running.usage()
                load = await closed_loop(target.port, CLIENTS, target.requests(seed=60 + count), seconds)
                spent = {
                    part: one.cpu - before[part].cpu for part, one in ours.running.usage().items() if part in before
                }
                largest = max(spent, key=spent.__getitem__)
                whole = sum(spent.values())
                served = latency(load)
                each = 1e3 * whole / max(1, load.count)
                found.append(
                    OnCores(
                        target.name, count, served, each, whole / load.seconds, largest, spent[largest] / load.seconds
                    )
                )
        finally:
            os.sched_setaffinity(0, there)
            ours.running.stop()
    return found


def markdown(found: list[OnCores]) -> Iterator[str]:
    """The table."""
    header = ["", "cores", f"requests/s, {CLIENTS} clients", "p50 / p99 ms", "CPU ms per request", "cores busy"]
    yield from table([*header, "busiest part (its cores)", "bottleneck"], map(_row, found))


def _row(one: OnCores) -> list[str]:
    latencies = f"{one.served.p50:.2f} / {one.served.p99:.2f}"
    most = f"{one.largest} ({one.largest_used:.2f})"
    rate = f"{one.served.rate:,.0f}"
    return [one.target, str(one.cores), rate, latencies, f"{one.cpu_ms:.2f}", f"{one.used:.2f}", most, _limit(one)]


def _limit(one: OnCores) -> str:
    if one.used >= one.cores * (1 - _FREE):
        return "all cores"
    if one.largest_used >= 1 - _FREE:
        return f"one process of {one.largest}"
    return "the load generator's cores, or waiting"
