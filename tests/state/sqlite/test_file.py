"""The file under the store: closed to other users, and the same one for the whole life."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from router_backend.core.records import Decision
from router_backend.state.sqlite.store import SQLiteStore
from router_backend.state.store import StoreError, StoreReplaced, UnknownDecision
from router_backend.state.transfer import export_state, import_state
from tests.state.examples import make_decision, make_feedback, make_outcome


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(path)
    yield store
    store.close()


@pytest.fixture
def decisions(store: SQLiteStore) -> list[Decision]:
    decisions = [make_decision(number) for number in range(3)]
    store.append(decisions, [make_outcome(decision) for decision in decisions])
    return decisions


def unlink(path: Path) -> None:
    path.unlink()


def unlink_all(path: Path) -> None:
    for file in path.parent.glob("state.db*"):
        file.unlink()


def unlink_log(path: Path) -> None:
    path.with_name("state.db-wal").unlink()


def remove_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def start_afresh(path: Path) -> None:
    unlink_all(path)
    SQLiteStore(path).close()


@pytest.mark.parametrize("swap", [unlink, unlink_all, unlink_log, remove_folder, start_afresh])
def test_a_file_taken_away_under_the_store_stops_acknowledgements(
    store: SQLiteStore, decisions: list[Decision], path: Path, swap: Callable[[Path], None]
) -> None:
    store.add_feedback(make_feedback(decisions[0]))
    swap(path)
    with pytest.raises(StoreReplaced, match=r"(was removed|was replaced by another file); .* restart the routers"):
        store.add_feedback(make_feedback(decisions[1]))
    with pytest.raises(StoreReplaced):
        store.append([make_decision(9)], [])
    with pytest.raises(StoreReplaced):
        store.events(0)


def test_another_store_copied_into_the_file_stops_acknowledgements(
    store: SQLiteStore, decisions: list[Decision], path: Path
) -> None:
    """As `sqlite3 state.db ".restore other.db"` does it."""
    other = path.with_name("other.db")
    SQLiteStore(other).close()
    source, target = sqlite3.connect(other), sqlite3.connect(path)
    source.backup(target)
    source.close()
    target.close()
    with pytest.raises(StoreError):
        store.add_feedback(make_feedback(decisions[1]))
    with pytest.raises(StoreReplaced, match="another store was copied"):
        store.events(0)


def test_the_file_put_back_ends_the_alarm(store: SQLiteStore, decisions: list[Decision], path: Path) -> None:
    aside = path.with_name("aside.db")
    path.rename(aside)
    with pytest.raises(StoreReplaced):
        store.add_feedback(make_feedback(decisions[0]))
    aside.rename(path)
    store.add_feedback(make_feedback(decisions[1]))
    again = SQLiteStore(path)
    assert {event.decision_id for event in again.events(0)} >= {decisions[1].decision_id}
    again.close()


def test_reset_and_import_while_routers_run_are_no_alarm(
    store: SQLiteStore, decisions: list[Decision], path: Path
) -> None:
    command_line = SQLiteStore(path)
    export_state(command_line.archive(), path.with_name("export"))
    command_line.archive().clear()
    import_state(command_line.archive(), path.with_name("export"))
    command_line.close()
    assert not store.add_feedback(make_feedback(decisions[0])).duplicate


def test_a_store_that_takes_no_writes_calls_no_decision_unknown(store: SQLiteStore, path: Path) -> None:
    """On a full disk it may still wait in a router's memory: 503, not 404."""
    with pytest.raises(UnknownDecision):
        store.add_feedback(make_feedback(make_decision()))
    store._database.writer.execute("PRAGMA query_only = 1")  # as a disk that takes nothing
    with pytest.raises(StoreError):
        store.add_feedback(make_feedback(make_decision()))


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_only_the_owner_may_read_the_state(store: SQLiteStore, decisions: list[Decision], path: Path) -> None:
    assert {file.name: mode(file) for file in path.parent.iterdir()} == {
        "state.db": 0o600,
        "state.db-wal": 0o600,
        "state.db-shm": 0o600,
    }
    assert mode(path.parent) == 0o700


def test_files_of_before_are_closed_and_stay_closed(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    mask = os.umask(0o022)
    try:
        sqlite3.connect(path).execute("PRAGMA journal_mode = WAL").connection.close()
        assert mode(path) == 0o644
        store = SQLiteStore(path)
        assert mode(path) == 0o600
        path.chmod(0o644)
        store.events(0)
        assert mode(path) == 0o600
        store.close()
    finally:
        os.umask(mask)


def test_a_group_that_was_let_in_stays_in(path: Path) -> None:
    """A volume's group in Kubernetes, for instance."""
    SQLiteStore(path).close()
    path.chmod(0o660)
    SQLiteStore(path).close()
    assert mode(path) == 0o660
