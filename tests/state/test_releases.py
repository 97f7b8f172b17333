"""Stores that earlier releases wrote: taken over with all they hold, while a router of that release still runs, and with a way back.

`releases/` holds what the code of two earlier schemas wrote itself, as SQL and as an export.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest
import redis

from router_backend.core.records import Outcome
from router_backend.state.codec import encode, split
from router_backend.state.open import open_store
from router_backend.state.redis.store import RedisStore
from router_backend.state.sqlite.migrations import VERSION
from router_backend.state.sqlite.store import SQLiteStore
from router_backend.state.store import Store
from router_backend.state.transfer import export_state, import_state
from tests.state.examples import make_decision, make_feedback, make_outcome

RELEASES = Path(__file__).parent / "releases"
IDS = [f"0199{number:04d}-0000-7000-8000-000000000000" for number in range(4)]


@pytest.fixture(params=[5, 6])
def release(request: pytest.FixtureRequest) -> int:
    version: int = request.param
    return version


FOR_EVER = 36_500.0  # days: what was written has its date


@pytest.fixture
def store(store_url: str, tmp_path: Path) -> Iterator[Store]:
    store = open_store(store_url, tmp_path, retention_days=FOR_EVER)
    yield store
    store.close()


@pytest.fixture
def path(tmp_path: Path, release: int) -> Path:
    connection = sqlite3.connect(tmp_path / "state.db")
    connection.executescript((RELEASES / f"state_v{release}.sql").read_text())
    connection.close()
    return tmp_path / "state.db"


def holds_what_was_written(store: Store) -> None:
    assert [decision is not None for decision in map(store.decision, IDS)] == [True] * 4
    decision, outcome = store.decision(IDS[0]), store.outcome(IDS[0])
    assert decision is not None
    assert np.array_equal(decision.context, np.arange(8, dtype=np.float32) / 8)
    assert outcome is not None
    assert (outcome.key, outcome.cost, outcome.usage.completion) == ("app", 0.25, 20)
    (event,) = store.events(0)
    assert (event.decision_id, event.arm, event.quality, event.cost, event.output_tokens) == (
        IDS[0],
        "small",
        0.75,
        0.25,
        20,
    )
    assert store.counts() == {
        "small": {"decisions": 2, "feedback": 2},
        "middle": {"decisions": 1, "feedback": 1},
        "large": {"decisions": 1, "feedback": 0},
    }


def goes_on(store: Store) -> None:
    """A second score is a duplicate, a pending one gives way, one that is missing is taken."""
    given = [decision for decision in map(store.decision, IDS) if decision is not None]
    results = store.add_feedback_many([make_feedback(decision, 0.5) for decision in given])
    assert [result.duplicate for result in results] == [True, False, False, True]  # type: ignore[union-attr]
    assert [(event.sequence, event.quality) for event in store.events(0)] == [(1, 0.75), (2, 0.5), (3, 0.5)]


def test_a_store_of_an_earlier_release_is_taken_over_and_goes_on(path: Path) -> None:
    store = SQLiteStore(path)
    holds_what_was_written(store)
    assert store.spend("2026-09") == {"app": 1.0}
    goes_on(store)
    store.close()
    again = SQLiteStore(path)
    assert len(again.events(0)) == 3
    again.close()


def test_its_checkpoints_stay_in_place(path: Path, release: int) -> None:
    store = SQLiteStore(path)
    assert store.checkpoints("key") == ([b"a checkpoint of that release"] if release == 6 else [])
    assert store.save_checkpoint("key", store.log(), 2, b"of this one")
    store.close()


def test_a_router_of_the_earlier_release_writes_on_while_a_newer_one_has_the_file(path: Path) -> None:
    """As during a rolling upgrade: its connection was open before. The statements are that release's."""
    old = sqlite3.connect(path, isolation_level=None)
    assert old.execute("SELECT count(*) FROM decisions").fetchone() == (4,)
    new = SQLiteStore(path)
    decision = make_decision(0)
    outcome = make_outcome(decision, key="app", cost=0.5)
    old.execute("BEGIN IMMEDIATE")
    old.execute(
        "INSERT OR IGNORE INTO decisions VALUES (?, ?, ?, ?, ?)",
        (decision.decision_id, decision.created, decision.model, *split(decision)),
    )
    old.execute(
        "INSERT OR IGNORE INTO outcomes VALUES (?, ?, ?, ?)",
        (outcome.decision_id, outcome.completed, outcome.served, encode(outcome)),
    )
    old.execute(
        "INSERT INTO counters (arm, decisions) VALUES (?, ?)"
        " ON CONFLICT (arm) DO UPDATE SET decisions = decisions + excluded.decisions",
        (decision.model, 1),
    )
    old.execute(
        "INSERT OR REPLACE INTO feedback (decision_id, received, arm, quality, cost, pending, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (decision.decision_id, 1.0, "small", 0.25, 0.5, "", encode(make_feedback(decision, 0.25))),
    )
    old.execute(
        "INSERT INTO events (decision_id, arm, at, embedding_space, context, task, quality, cost, output_tokens, usage)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (decision.decision_id, "small", decision.created, 7, decision.context.tobytes(), "math", 0.25, 0.5, 20, None),
    )
    old.execute("COMMIT")
    assert [event.quality for event in new.events(0)] == [0.75, 0.25]
    assert new.outcome(decision.decision_id) == outcome
    assert new.add_feedback(make_feedback(decision)).duplicate

    later = make_decision(1)
    new.append([later], [make_outcome(later)])
    new.add_feedback(make_feedback(later, 1.0))
    read = "SELECT sequence, decision_id, arm, quality, cost FROM events WHERE sequence > 2 ORDER BY sequence"
    assert old.execute(read).fetchall() == [(3, later.decision_id, "middle", 1.0, 0.0005)]
    old.close()
    new.close()
    assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_an_export_of_an_earlier_release_fills_any_store(store: Store, release: int) -> None:
    assert import_state(store.archive(), RELEASES / f"export_v{release}.jsonl") == 15
    holds_what_was_written(store)
    goes_on(store)


def test_what_is_exported_here_has_all_that_an_earlier_release_reads(path: Path, release: int, tmp_path: Path) -> None:
    """The way back. A release passes over fields that it doesn't know, and needs those that it wrote itself."""
    store = SQLiteStore(path)
    goes_on(store)
    export_state(store.archive(), tmp_path / "export")
    store.close()
    wanted: dict[str, dict[str, object]] = {}
    for kind, record in lines(RELEASES / f"export_v{release}.jsonl"):
        wanted.setdefault(kind, record)
    found = list(lines(tmp_path / "export"))
    assert {kind for kind, _ in found} == set(wanted)
    for kind, record in found:
        assert fits(record, wanted[kind]), (kind, record)


def lines(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    for line in path.read_bytes().splitlines():
        (entry,) = orjson.loads(line).items()
        if isinstance(entry[1], dict):
            yield entry


def fits(value: object, like: object) -> bool:
    """Whether every member that there was is there, with the same kind of value, or none."""
    if isinstance(like, dict):
        return isinstance(value, dict) and all(name in value and fits(value[name], like[name]) for name in like)
    number = isinstance(like, int | float) and isinstance(value, int | float)
    return value is None or like is None or number or type(value) is type(like)


def test_records_in_redis_of_earlier_and_later_releases_are_read(redis_url: str) -> None:
    """During a rolling upgrade both write: fields that are missing have their defaults, others are passed over."""
    store = open_store(redis_url, Path(), retention_days=FOR_EVER)
    assert isinstance(store, RedisStore)
    import_state(store.archive(), RELEASES / "export_v5.jsonl")
    decision = make_decision(0)
    store.append([decision], [make_outcome(decision)])
    prefix = redis_url.partition("prefix=")[2]
    server = redis.Redis.from_url(redis_url.partition("?")[0])
    body = orjson.loads(server.get(f"{prefix}:outcome:{decision.decision_id}"))  # type: ignore[arg-type]
    server.set(f"{prefix}:outcome:{decision.decision_id}", orjson.dumps({**body, "of_a_later_release": [1]}))
    assert isinstance(store.outcome(decision.decision_id), Outcome)
    assert not store.add_feedback(make_feedback(decision)).duplicate
    (event,) = store.events(1)
    (entry,) = server.xrange(f"{prefix}:events", min="2-0")  # type: ignore[misc]
    written = {**orjson.loads(entry[1][b"e"]), "of_a_later_release": 1}
    earlier = {name: written[name] for name in ("sequence", "decision_id", "arm", "at", "embedding_space", "context")}
    earlier |= {name: written[name] for name in ("task", "quality", "cost")}
    for number, body in ((3, written), (4, earlier)):
        server.xadd(f"{prefix}:events", {"e": orjson.dumps(body), "c": entry[1][b"c"]}, id=f"{number}-0")
    assert [found.quality for found in store.events(2)] == [event.quality] * 2
    store.close()
