"""The recorder, on a real store and on one that is made to fail."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from router_backend.learning.recorder import Recorder
from router_backend.state.backlog import Backlog
from router_backend.state.sqlite.store import SQLiteStore
from tests.state.examples import make_decision, make_outcome


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "state.db", busy_seconds=0.05)
    yield store
    store.close()


def test_what_is_flushed_is_durable(store: SQLiteStore, tmp_path: Path) -> None:
    recorder = Recorder(store)
    decision = make_decision()
    assert recorder.decision(decision)
    assert recorder.outcome(make_outcome(decision))
    assert recorder.flush(decision.decision_id, 5.0)
    other = SQLiteStore(tmp_path / "state.db")
    assert other.decision(decision.decision_id) is not None
    assert other.outcome(decision.decision_id) is not None
    other.close()
    recorder.close()


def test_closing_writes_the_backlog(store: SQLiteStore) -> None:
    recorder = Recorder(store, linger=0.05)
    decisions = [make_decision(number) for number in range(3000)]
    for decision in decisions:
        recorder.decision(decision)
    recorder.close()
    assert sum(count["decisions"] for count in store.counts().values()) == 3000
    assert not recorder.decision(make_decision())


def test_while_the_store_is_locked_the_backlog_waits_is_bounded_and_losses_are_counted(
    store: SQLiteStore, tmp_path: Path
) -> None:
    drops: list[int] = []
    blocker = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    recorder = Recorder(store, capacity=10, on_drop=drops.append)
    decisions = [make_decision(number) for number in range(12)]
    accepted = [recorder.decision(decision) for decision in decisions]
    assert accepted == [True] * 10 + [False] * 2
    assert not recorder.flush(decisions[0].decision_id, 0.1)
    assert not recorder.flush(decisions[11].decision_id, 0.1)
    assert (recorder.dropped, sum(drops)) == (2, 2)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert recorder.flush(decisions[9].decision_id, 10.0)
    assert store.decision(decisions[9].decision_id) is not None
    recorder.close()


def test_others_hear_that_decisions_wait_until_they_are_written(store: SQLiteStore, tmp_path: Path) -> None:
    here, elsewhere = Backlog(tmp_path), Backlog(tmp_path)
    recorder = Recorder(store, backlog=here)
    assert not elsewhere.held()
    blocker = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    decision = make_decision()
    recorder.decision(decision)
    deadline = time.monotonic() + 20
    while not elsewhere.held():
        assert time.monotonic() < deadline
    blocker.execute("ROLLBACK")
    blocker.close()
    assert recorder.flush(decision.decision_id, 10.0)
    assert not elsewhere.held()
    recorder.close()
    for backlog in (here, elsewhere):
        backlog.close()


def test_a_record_that_cannot_be_stored_does_not_hold_up_the_others(store: SQLiteStore) -> None:
    recorder = Recorder(store, linger=0.05)
    good, bad = make_decision(0), replace(make_decision(1), created="yesterday", policy=object())  # type: ignore[arg-type]
    recorder.decision(bad)
    recorder.decision(good)
    assert recorder.flush(good.decision_id, 5.0)
    assert not recorder.flush(bad.decision_id, 5.0)
    assert store.decision(good.decision_id) is not None
    assert recorder.dropped == 1
    recorder.close()


def test_a_propensity_is_estimated_while_nobody_waits(store: SQLiteStore) -> None:
    recorder = Recorder(store)
    caller = threading.get_ident()
    estimated_by: list[int] = []

    def estimate() -> float:
        estimated_by.append(threading.get_ident())
        return 0.25

    decisions = [make_decision(number) for number in range(2)]
    recorder.decision(replace(decisions[0], propensity=None), estimate)
    recorder.decision(replace(decisions[1], propensity=None), lambda: 1 / 0)
    for decision in decisions:
        assert recorder.flush(decision.decision_id, 5.0)
    stored = [store.decision(decision.decision_id) for decision in decisions]
    assert [decision and decision.propensity for decision in stored] == [0.25, None]
    assert len(estimated_by) == 1
    assert estimated_by[0] != caller
    recorder.close()
