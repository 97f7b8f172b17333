"""SQLite when the disk or another process is in the way: a StoreError that says what to do, and nothing half-written."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from router_backend.state.sqlite.store import SQLiteStore
from router_backend.state.store import StoreError
from tests.state.examples import make_decision, make_feedback, make_outcome


def test_a_full_disk_loses_nothing_that_was_there(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "state.db")
    decision = make_decision(0)
    store.append([decision], [make_outcome(decision)])
    pages = store._database.writer.execute("PRAGMA page_count").fetchone()[0]
    store._database.writer.execute(f"PRAGMA max_page_count = {pages}")  # as SQLite sees a disk without space
    with pytest.raises(StoreError, match="disk is full; free space"):
        store.append([make_decision(number) for number in range(200)], [])
    assert sum(count["decisions"] for count in store.counts().values()) == 1
    store._database.writer.execute("PRAGMA max_page_count = 1000000")
    store.add_feedback(make_feedback(decision))
    assert len(store.events(0)) == 1
    store.close()


def test_each_commit_is_synced_to_the_disk(tmp_path: Path) -> None:
    """A kill can't show it, a power loss would."""
    store = SQLiteStore(tmp_path / "state.db")
    assert store._database.writer.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert store._database.writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.close()


def test_a_lock_held_for_too_long_is_an_error_and_the_write_can_be_repeated(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "state.db", busy_seconds=0.05)
    decision = make_decision(0)
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked by another process"):
        store.append([decision], [])
    assert store.counts() == {}  # reading goes on
    other.execute("ROLLBACK")
    store.append([decision], [])
    assert store.decision(decision.decision_id) is not None
    store.close()
    other.close()


def test_a_damaged_file_is_an_error_that_names_the_way_back(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "state.db")
    decisions = [make_decision(number) for number in range(400)]
    store.append(decisions, [])
    store.close()
    data = bytearray((tmp_path / "state.db").read_bytes())
    data[8192:] = b"\xff" * (len(data) - 8192)
    (tmp_path / "state.db").write_bytes(data)
    with pytest.raises(StoreError, match=r"damaged; stop the server.*state import"):
        read_all(tmp_path / "state.db", [decision.decision_id for decision in decisions])


def read_all(path: Path, decision_ids: list[str]) -> None:
    store = SQLiteStore(path)
    for decision_id in decision_ids:
        store.decision(decision_id)


def test_a_read_only_file_is_an_error_that_says_so(tmp_path: Path) -> None:
    """In a process of its own, as a user without rights: root may write anywhere."""
    SQLiteStore(tmp_path / "state.db").close()
    tmp_path.chmod(0o755)
    (tmp_path / "state.db").chmod(0o444)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == tmp_path.stat().st_uid and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | 0o055)
    script = (
        "import os, sys; from pathlib import Path\n"
        "from router_backend.state.sqlite.store import SQLiteStore; from router_backend.state.store import StoreError\n"
        "os.geteuid() or os.setuid(65534)\n"
        "try: SQLiteStore(Path(sys.argv[1]))\n"
        "except StoreError as error: print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "state.db")], capture_output=True, text=True, check=True
    )
    assert "write access" in result.stdout or "may write in it" in result.stdout


def test_processes_that_open_a_new_file_at_once_agree_on_its_schema(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from router_backend.state.sqlite.store import SQLiteStore\n"
        "store = SQLiteStore(Path(sys.argv[1])); print(store.counts()); store.close()\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "state.db")], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [process.communicate()[0].strip() for process in running] == ["{}"] * 4
