"""A clock that is wrong removes nothing for good."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from router_backend.state.spend import periods
from router_backend.state.sqlite.store import SQLiteStore
from tests.state.examples import make_decision, make_outcome

DAY = 86_400.0
RETENTION = 90 * DAY


class Clock:
    """The system's two clocks, set by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.running = time.time(), 1000.0
        monkeypatch.setattr(time, "time", lambda: self.wall)
        monkeypatch.setattr(time, "monotonic", lambda: self.running)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.running += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def prune(store: SQLiteStore, clock: Clock) -> int:
    return store.prune(clock.wall - RETENTION)


def test_a_clock_a_year_ahead_at_the_start_removes_nothing_and_is_forgotten_when_it_is_right_again(
    tmp_path: Path, clock: Clock
) -> None:
    store = SQLiteStore(tmp_path / "state.db")
    now = clock.wall
    decisions = [make_decision(age, created=now - age * DAY) for age in range(0, 85, 5)]
    store.append(decisions, [make_outcome(decision, key="app", cost=1.0) for decision in decisions])
    prune(store, clock)
    store.close()

    clock.wall = now + 400 * DAY
    store = SQLiteStore(tmp_path / "state.db")
    assert prune(store, clock) == 0
    late = make_decision(99, created=clock.wall)  # what is recorded meanwhile doesn't vouch for the clock
    store.append([late], [make_outcome(late)])
    assert prune(store, clock) == 0
    assert store.spend(periods(now)[1])["app"] >= 1.0
    store.close()

    clock.wall = now + DAY
    store = SQLiteStore(tmp_path / "state.db")
    assert prune(store, clock) == 0
    assert all(store.decision(decision.decision_id) is not None for decision in (*decisions, late))
    store.close()


def test_a_jump_while_it_runs_removes_nothing_at_once(tmp_path: Path, clock: Clock) -> None:
    store = SQLiteStore(tmp_path / "state.db")
    decision = make_decision(0)
    store.append([decision], [])
    prune(store, clock)
    clock.wall += 400 * DAY
    clock.running += 3600
    assert prune(store, clock) == 0
    assert store.decision(decision.decision_id) is not None
    store.close()


def test_a_store_that_lay_still_catches_up(tmp_path: Path, clock: Clock) -> None:
    store = SQLiteStore(tmp_path / "state.db")
    decision = make_decision(0, created=clock.wall - 60 * DAY)
    store.append([decision], [])
    store.close()
    clock.wall += 60 * DAY
    store = SQLiteStore(tmp_path / "state.db")
    hours = 0
    while not prune(store, clock):
        clock.passes(3600)
        hours += 1
        assert hours < 100
    assert hours > 24
    store.close()


def test_in_daily_use_records_go_when_they_are_due(tmp_path: Path, clock: Clock) -> None:
    store = SQLiteStore(tmp_path / "state.db")
    decision = make_decision(0)
    store.append([decision], [])
    removed = []
    for _ in range(93):
        clock.passes(DAY)
        removed.append(prune(store, clock))
    assert removed == [0] * 90 + [1, 0, 0] or removed == [0] * 89 + [1, 0, 0, 0]
    store.close()
