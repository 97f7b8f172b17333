"""Databases of other schema versions."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest

from router_backend.state.codec import encode, split
from router_backend.state.spend import periods
from router_backend.state.sqlite.migrations import STEPS, VERSION
from router_backend.state.sqlite.store import SQLiteStore
from router_backend.state.store import StoreError, StoreMisconfigured
from tests.state.examples import make_decision, make_feedback, make_outcome


def database_of_version(path: Path, version: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    for step in STEPS[:version]:
        connection.executescript(step)
    connection.execute(f"PRAGMA user_version = {version}")
    return connection


def test_a_version_1_database_is_brought_up_with_all_that_it_holds(tmp_path: Path) -> None:
    judged, fresh = make_decision(0), make_decision(1)
    connection = database_of_version(tmp_path / "state.db", 1)
    for decision in (judged, fresh):
        row = (decision.decision_id, decision.created, decision.model, *split(decision))
        connection.execute("INSERT INTO decisions VALUES (?, ?, ?, ?, ?)", row)
        connection.execute("INSERT INTO counters (arm, decisions) VALUES (?, 1)", (decision.model,))
    outcome = make_outcome(judged)
    connection.execute(
        "INSERT INTO outcomes VALUES (?, ?, ?, ?)",
        (outcome.decision_id, outcome.completed, outcome.served, encode(outcome)),
    )
    connection.execute(
        "INSERT INTO events VALUES (1, ?, 'small', ?, 7, ?, 'math', 0.5, 0.001, 20)",
        (judged.decision_id, judged.created, judged.context.tobytes()),
    )
    connection.execute(
        "INSERT INTO feedback VALUES (?, 1.0, 'small', 0.5, 0.001, ?)",
        (judged.decision_id, encode(make_feedback(judged, 0.5))),
    )
    connection.commit()
    connection.close()

    store = SQLiteStore(tmp_path / "state.db")
    (event,) = store.events(0)
    assert (event.decision_id, event.quality) == (judged.decision_id, 0.5)
    assert np.array_equal(event.context, judged.context)
    assert store.outcome(judged.decision_id) == outcome
    assert store.add_feedback(make_feedback(judged)).duplicate
    store.append([], [make_outcome(fresh)])
    store.add_feedback(make_feedback(fresh))
    assert [event.sequence for event in store.events(0)] == [1, 2]
    store.close()
    version = sqlite3.connect(tmp_path / "state.db").execute("PRAGMA user_version").fetchone()[0]
    assert version == VERSION


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    database_of_version(tmp_path / "state.db", VERSION).execute(f"PRAGMA user_version = {VERSION + 1}").close()
    with pytest.raises(StoreMisconfigured, match=r"newer llm-router .* upgrade this one"):
        SQLiteStore(tmp_path / "state.db")
    connection = sqlite3.connect(tmp_path / "state.db")
    assert connection.execute("PRAGMA user_version").fetchone()[0] == VERSION + 1


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "state.db")
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    with pytest.raises(StoreMisconfigured, match="not llm-router's"):
        SQLiteStore(tmp_path / "state.db")
    tables = sqlite3.connect(tmp_path / "state.db").execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("songs",)]


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"these are not the bytes of a database, whatever the name says" * 20)
    with pytest.raises(StoreError, match="not a state file; name another"):
        SQLiteStore(tmp_path / "state.db")


def test_a_step_that_fails_leaves_the_old_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database_of_version(tmp_path / "state.db", 1).close()
    monkeypatch.setattr(
        "router_backend.state.sqlite.migrations.STEPS", (STEPS[0], STEPS[1] + "CREATE TABLE feedback (x);")
    )
    with pytest.raises(StoreError):
        SQLiteStore(tmp_path / "state.db")
    connection = sqlite3.connect(tmp_path / "state.db")
    assert connection.execute("PRAGMA user_version").fetchone()[0] == 1
    assert "pending" not in [row[1] for row in connection.execute("PRAGMA table_info(feedback)")]


def test_what_keys_have_spent_this_month_is_taken_over(tmp_path: Path) -> None:
    connection = database_of_version(tmp_path / "state.db", 2)
    now = time.time()
    for key, cost, completed in (
        ("app", 0.25, now),
        ("app", 0.5, now),
        ("", 1.0, now),
        ("app", 2.0, now - 32 * 86_400),
    ):
        outcome = make_outcome(make_decision(), key=key, cost=cost, completed=completed)
        row = (outcome.decision_id, outcome.completed, outcome.served, encode(outcome))
        connection.execute("INSERT INTO outcomes VALUES (?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    store = SQLiteStore(tmp_path / "state.db")
    assert [store.spend(period) for period in periods(now)] == [{"app": 0.75}, {"app": 0.75}]
    store.close()
