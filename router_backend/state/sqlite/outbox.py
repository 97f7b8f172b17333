"""What an archive hasn't got yet: the rows behind a place in each table, in the order in which they were written.

SQLite gives a new row the number after the highest one. So the row of the highest number is never pruned, and numbers are not
used again. What is replaced (feedback that becomes final) gets a new number, and comes once more. `VACUUM` may number rows
afresh: the place holds the id of its row, too, and if another row is there, all rows come again.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from router_backend.core.records import Decision, Feedback, KeptFeedback, LearningEvent, Outcome
from router_backend.state.codec import decode, join
from router_backend.state.sqlite.checkpoints import log_name
from router_backend.state.sqlite.database import Database
from router_backend.state.sqlite.rows import EVENT_COLUMNS, event_of
from router_backend.state.store import Parcel

_NAME = "outbox:"


class _Source(NamedTuple):
    columns: str
    record: Callable[..., Decision | Outcome | KeptFeedback | LearningEvent | None]  # of a row; None: it isn't final


_SOURCES: dict[str, _Source] = {
    "decisions": _Source("body, context", lambda *row: join(Decision, *row)),
    "outcomes": _Source("body", lambda body: decode(Outcome, body)),
    "feedback": _Source("body, arm, quality, cost, pending", lambda *row: _final(*row)),
    "events": _Source(f"sequence, {EVENT_COLUMNS}", lambda *row: event_of(row)),
}
_TIMES = {"decisions": "created", "outcomes": "completed", "feedback": "received"}
"""Events come with feedback."""


class SQLiteOutbox:
    """The `Outbox` of a file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, limit: int) -> Parcel:
        records: list[Decision | Outcome | KeptFeedback | LearningEvent] = []
        begins: dict[str, str | int] = {}
        ends: dict[str, str | int] = {}
        with self._database.reading() as connection:
            connection.execute("BEGIN")
            try:
                log = log_name(connection)
                for table, source in _SOURCES.items():
                    begins[table] = kept = _kept(connection, table)
                    number = _number(connection, table, kept)
                    query = f"SELECT rowid, {source.columns} FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT ?"
                    rows = connection.execute(query, (number, limit)).fetchall()
                    records += filter(None, (source.record(*row) for _, *row in rows))
                    number = rows[-1][0] if rows else number
                    ends[table] = _place(connection, table, number) if number else kept
            finally:
                connection.execute("ROLLBACK")
        return Parcel(records, log, begins, ends)

    def done(self, parcel: Parcel) -> bool:
        with self._database.transaction() as connection:
            if log_name(connection) != parcel.log:
                return False
            if any(_kept(connection, table) != place for table, place in parcel.begins.items()):
                return False
            for table, place in parcel.ends.items():
                connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_NAME + table, place))
        return True

    def behind(self) -> float:
        oldest = now = time.time()
        with self._database.reading() as connection:
            for table, column in _TIMES.items():
                number = _number(connection, table, _kept(connection, table))
                query = f"SELECT {column} FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT 1"
                row = connection.execute(query, (number,)).fetchone()
                oldest = min(oldest, row[0]) if row else oldest
        return now - oldest


def prunable(connection: sqlite3.Connection, table: str, done: bool) -> int:
    """Rows of lower numbers may be removed; with `done`, only those that are not in the outbox."""
    kept = _kept(connection, table)
    if not done and not kept:  # there was never an archive
        return sys.maxsize
    return min(_highest(connection, table), _number(connection, table, kept) + 1 if done else sys.maxsize)


def archived(connection: sqlite3.Connection) -> int:
    """The latest event that the archive has."""
    return _number(connection, "events", _kept(connection, "events"))


def forget(connection: sqlite3.Connection) -> None:
    """All rows are new ones."""
    connection.execute("DELETE FROM meta WHERE name LIKE ?", (_NAME + "%",))


def _final(body: bytes, arm: str, quality: float, cost: float, pending: str) -> KeptFeedback | None:
    return None if pending else KeptFeedback(decode(Feedback, body), arm, quality, cost)


def _kept(connection: sqlite3.Connection, table: str) -> str:
    """The place up to which the archive has a table: a row's number and its id."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (_NAME + table,)).fetchone()
    return str(row[0]) if row else ""


def _place(connection: sqlite3.Connection, table: str, number: int) -> str:
    row = _row(connection, table, number)
    return f"{number} {row[0] if row else ''}"


def _number(connection: sqlite3.Connection, table: str, kept: str) -> int:
    number, _, identity = kept.partition(" ")
    if not number:
        return 0
    row = _row(connection, table, int(number))
    renumbered = row is not None and identity and row[0] != identity
    if table == "events":  # numbered for good
        return int(number)
    return 0 if renumbered or _highest(connection, table) < int(number) else int(number)


def _highest(connection: sqlite3.Connection, table: str) -> int:
    (highest,) = connection.execute(f"SELECT coalesce(max(rowid), 0) FROM {table}").fetchone()
    return int(highest)


def _row(connection: sqlite3.Connection, table: str, number: int) -> Any:
    return connection.execute(f"SELECT decision_id FROM {table} WHERE rowid = ?", (number,)).fetchone()
