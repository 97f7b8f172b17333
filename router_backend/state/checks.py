"""What a record must be before it reaches a sum: its numbers decide what is learned and what a key may spend."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from router_backend.core.records import Decision, Feedback, Outcome
from router_backend.state.codec import RecordError

_FIRST = 1_577_836_800.0  # 2020-01-01: before there was any router
_AHEAD = 366 * 86_400.0  # clocks are wrong now and then, but not by years


def check_records(
    decisions: Sequence[Decision], outcomes: Sequence[Outcome], scores: Sequence[Feedback], now: float
) -> None:
    """Refuse numbers that no gateway reports.

    Raises:
        RecordError: names the record and the field.
    """
    for decision in decisions:
        _time(decision.decision_id, "created", decision.created, now)
        _amounts(decision.decision_id, "expected_cost", decision.expected_cost)
        _amounts(decision.decision_id, "cost_weight", [decision.cost_weight])
        if decision.propensity is not None and not 0 <= decision.propensity <= 1:
            raise RecordError(f"record {decision.decision_id}: propensity must lie in [0, 1]")
    for outcome in outcomes:
        name, usage = outcome.decision_id, outcome.usage
        _time(name, "completed", outcome.completed, now)
        _amounts(name, "cost", [outcome.cost])
        _amounts(name, "usage", [usage.prompt, usage.cached, usage.cache_write, usage.completion, usage.reasoning])
        _amounts(name, "latency", [outcome.latency, outcome.first_token, outcome.upstream])

    for score in scores:
        _time(score.decision_id, "received", score.received, now)
        _amounts(score.decision_id, "cost", [score.cost])
        if not score.implicit or not 0 <= score.score <= 1:
            raise RecordError(f"record {score.decision_id}: a score in [0, 1] needs the signal that it stands for")
        if not 0 < score.selected <= 1:
            raise RecordError(f"record {score.decision_id}: selected must lie in (0, 1]")


def _time(name: str, field: str, value: float, now: float) -> None:
    if not _FIRST <= value <= now + _AHEAD:
        raise RecordError(f"record {name}: {field} is {value}, which is no time that a gateway could report")


def _amounts(name: str, field: str, values: Iterable[float | None]) -> None:
    for value in values:
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise RecordError(f"record {name}: {field} must be a finite number of at least 0, not {value}")
