"""How long requests wait that come when they come: an open loop at 80 % of saturation, of the system alone."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from router_backend.lab.bench.load import closed_loop, open_loop
from router_backend.lab.bench.measure import Latency, latency
from router_backend.lab.bench.targets import Target, start_ours, start_upstream
from router_backend.lab.tables import table

SHARE = 0.8
_CLIENTS = (16, 64)


@dataclass(frozen=True, slots=True)
class Waits:
    """Of one target."""

    target: str
    saturation: float  # requests a second, the best of the closed loops
    rounds: list[Latency]  # at `SHARE` of it

    @property
    def ratios(self) -> list[float]:
        """p99 / p50 of each round, ascending."""
        return sorted(one.p99 / one.p50 for one in self.rounds)


async def run(folder: Path, seconds: float, rounds: int, say: Callable[[str], None]) -> list[Waits]:
    """On an upstream of its own."""
    upstream, port = await start_upstream(folder)
    try:
        ours = await start_ours(folder, port, twice=False)
        try:
            found = []
            for target in ours.targets():
                say(target.name)
                found.append(await _waits(target, seconds, rounds))
            return found
        finally:
            ours.running.stop()
    finally:
        upstream.stop()


async def _waits(target: Target, seconds: float, rounds: int) -> Waits:
    await closed_loop(target.port, 4, target.requests(seed=1), seconds / 2)
    loads = [await closed_loop(target.port, clients, target.requests(seed=clients), seconds) for clients in _CLIENTS]
    saturation = max(load.count / load.seconds for load in loads)
    found = []
    for number in range(rounds):
        requests = target.requests(seed=100 + number)
        found.append(latency(await open_loop(target.port, SHARE * saturation, requests, seconds, seed=number)))
    return Waits(target.name, saturation, found)


def markdown(found: list[Waits]) -> Iterator[str]:
    """The table: medians over the rounds, and between which values the ratio lay."""
    yield from table(["", "saturation /s", "rate /s", "p50 / p95 / p99 ms", "p99 / p50", "failed"], map(_row, found))


def _row(one: Waits) -> list[str]:
    p50, p95, p99 = (statistics.median(getattr(each, name) for each in one.rounds) for name in ("p50", "p95", "p99"))
    ratios = one.ratios
    return [
        one.target,
        f"{one.saturation:,.0f}",
        f"{statistics.median(each.rate for each in one.rounds):,.0f}",
        f"{p50:.2f} / {p95:.2f} / {p99:.2f}",
        f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
        str(sum(each.failures for each in one.rounds)),
    ]
