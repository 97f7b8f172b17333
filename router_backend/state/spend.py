"""What API keys have spent, by UTC day and by month: kept with the outcomes, so that budgets hold over replicas and restarts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from router_backend.core.records import Outcome

KEPT_DAYS = 40  # longer than any month

Spend = Mapping[str, Mapping[str, float]]
"""USD by key, by period."""

NEWS = ""
"""The period that is none: beside what was spent, gateways hear numbers by name with each acknowledgement."""
BEHIND = "behind"
"""Of `NEWS`: events of the log that the router which is furthest behind has still to read."""


def periods(at: float) -> tuple[str, str]:
    """The day and the month of a time, such as `("2026-01-31", "2026-01")`."""
    day = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
    return day, day[:7]


def oldest_kept(now: float) -> str:
    """Periods before it, as text, may be removed."""
    return periods((datetime.fromtimestamp(now, UTC) - timedelta(days=KEPT_DAYS)).timestamp())[0]


def charges(outcome: Outcome) -> Iterator[tuple[str, str, float]]:
    """(period, key, USD) of an outcome, for each of its periods; none where no key paid."""
    if outcome.key and outcome.cost:
        for period in periods(outcome.completed):
            yield period, outcome.key, outcome.cost
