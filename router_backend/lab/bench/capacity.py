"""A capacity model: replicas for a load, and what they ask of Redis, from a run's measurements.

Processor time a request is what scales; a replica is planned at `UTILISATION` of its cores, since latency grows without
bound towards all of them. Redis carries each decision and outcome once, and each learning event once in and once out to
every replica: the part that grows with replicas.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

from router_backend.bandits.context import FEATURES
from router_backend.contract import EMBEDDING_DIM
from router_backend.lab.tables import table

UTILISATION = 0.6
POLLS = 20  # of the log, a second and replica (`learning/learner.py`)
_EVENT_BYTES = 120  # of a learning event beside its context
_DECISION_BYTES = 520  # of a decision beside its context: names, scores, task probabilities
_OUTCOME_BYTES = 260
_POLL_BYTES = 90  # question and empty answer
_DIMENSIONS = (32, EMBEDDING_DIM, 384)
_REPLICAS = (1, 3, 10, 30, 100)


@dataclass(frozen=True, slots=True)
class Measurements:
    """Of one run. Milliseconds of processor time a request, and requests a second."""

    auto_ms: float  # routed, unseen prompt: gateway, Triton and all
    repeated_ms: float  # routed, the classifier's answer from the cache
    named_ms: float  # forwarded without a decision
    router_rate: float  # of the `router` model alone, one process
    forward_ms: float  # the classifier's forward pass alone, of the same prompts: a part of `auto_ms`

    @classmethod
    def from_report(cls, report: dict[str, Any]) -> Measurements:
        """From report.json. KeyError if the run did not measure this system."""
        cpu = {target["name"]: float(target["cpu_ms"]) for target in report["targets"]}
        return cls(
            auto_ms=cpu["llm-router, auto"],
            repeated_ms=cpu["llm-router, auto, repeated"],
            named_ms=cpu["llm-router, named model"],
            router_rate=float(report["triton"]["router"]["16"]["rate"]),
            forward_ms=float(report["encoder"]["64"]["p50"]),
        )

    def requests_per_second(self, cores: float, seen: float = 0.0, gpu: bool = False) -> float:
        """What one replica of so many cores serves. `seen`: share of prompts that the cache knows.

        With a GPU the forward pass costs as good as no processor time, and an unseen prompt all the rest; the one process that
        decides is then the limit.
        """
        # On a busy machine the forward pass takes longer than its processor time; the other steps are never free.
        unseen = max(self.repeated_ms, self.auto_ms - self.forward_ms * gpu)
        each = seen * self.repeated_ms + (1 - seen) * unseen
        return min(UTILISATION * cores * 1e3 / each, UTILISATION * self.router_rate)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Of the shared store, a second."""

    written: float  # bytes
    read: float  # bytes
    commands: float


def event_bytes(dimensions: int) -> int:
    """Of one learning event: its context is FP32."""
    return 4 * (dimensions + FEATURES) + _EVENT_BYTES


def traffic(rate: float, feedback: float, replicas: int, dimensions: int = EMBEDDING_DIM) -> Traffic:
    """`rate` routed requests a second in all, `feedback` of them scored."""
    scored, event = rate * feedback, event_bytes(dimensions)
    decision = 4 * (dimensions + FEATURES) + _DECISION_BYTES
    polls = POLLS * replicas
    return Traffic(
        written=rate * (decision + _OUTCOME_BYTES) + scored * event,
        read=replicas * scored * event + polls * _POLL_BYTES,
        commands=2 * rate + scored + polls,
    )


def markdown(found: Measurements, rate: float, feedback: float) -> Iterator[str]:
    """The model's answers as Markdown."""
    yield f"The plan uses {UTILISATION:.0%} of the cores. {feedback:.0%} of the answers get a score."
    yield ""
    header = ["one replica with", "routed requests/s", "half of the prompts repeated", "classifier on a GPU"]
    yield from table([*header, f"replicas for {rate:,.0f}/s"], _replica_rows(found, rate))
    yield ""
    header = [f"Redis at {rate:,.0f}/s", *(f"d = {d}" for d in _DIMENSIONS), "commands/s"]
    yield from table(header, _redis_rows(rate, feedback))


def _replica_rows(found: Measurements, rate: float) -> Iterator[list[str]]:
    for cores in (2, 4, 8, 16):
        plain = found.requests_per_second(cores)
        rates = (plain, found.requests_per_second(cores, 0.5), found.requests_per_second(cores, gpu=True))
        yield [f"{cores} cores", *(f"{each:,.0f}" for each in rates), str(ceil(rate / plain))]


def _redis_rows(rate: float, feedback: float) -> Iterator[list[str]]:
    for replicas in _REPLICAS:
        flows = [traffic(rate, feedback, replicas, d) for d in _DIMENSIONS]
        cells = [f"{flow.written / 1e6:.1f} in, {flow.read / 1e6:.1f} out MB/s" for flow in flows]
        yield [f"{replicas} replicas", *cells, f"{flows[0].commands:,.0f}"]
