"""What every store promises of spending: each outcome is counted once, and sums outlive the outcomes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from router_backend.state.spend import periods
from router_backend.state.store import Store
from router_backend.state.transfer import export_state, import_state
from tests.state.examples import make_decision, make_outcome

DAY = 86_400.0


def test_spending_is_summed_by_key_day_and_month_once_an_outcome(
    store: Store, open_replica: Callable[[], Store]
) -> None:
    first = datetime.now(UTC).replace(day=1, hour=1)
    made = [
        make_outcome(make_decision(number), key=key, cost=cost, completed=(first + timedelta(days=days)).timestamp())
        for number, (key, cost, days) in enumerate(
            [("app", 0.25, 0), ("app", 0.5, 0), ("app", 1.0, 1), ("batch", 2.0, 1), ("", 4.0, 0), ("app", None, 0)]
        )
    ]
    store.append([], made[:3])
    open_replica().append([], [*made[2:], replace(made[0], cost=8.0)])
    days = [(first + timedelta(days=count)).strftime("%Y-%m-%d") for count in (0, 1, 2)]
    month = first.strftime("%Y-%m")

    def spent(kept: Store) -> list[dict[str, float]]:
        return [kept.spend(period) for period in (*days, month)]

    expected = [{"app": 0.75}, {"app": 1.0, "batch": 2.0}, {}, {"app": 1.75, "batch": 2.0}]
    assert spent(store) == expected
    store.prune(time.time() + DAY)  # a budget doesn't end with the outcomes' retention
    assert spent(store) == expected


def test_spending_comes_along_with_an_export(store: Store, tmp_path: Path) -> None:
    outcome = make_outcome(make_decision(), key="app", cost=0.25)
    store.append([], [outcome])
    export_state(store.archive(), tmp_path / "export")
    store.archive().clear()
    month = periods(outcome.completed)[1]
    assert store.spend(month) == {}
    import_state(store.archive(), tmp_path / "export")
    assert store.spend(month) == {"app": 0.25}


def test_spending_of_long_ago_is_removed(store: Store) -> None:
    long_ago = time.time() - 41 * DAY
    store.append([], [make_outcome(make_decision(), key="app", cost=0.25, completed=long_ago)])
    store.prune(0)
    assert [store.spend(period) for period in periods(long_ago)] == [{}, {}]
