"""The `Compaction` of a file: readers as rows, the mark and the number of removed events in `meta`."""

from __future__ import annotations

import sqlite3
import time

from router_backend.state.compaction import BATCH, KEY_SECONDS, READER_SECONDS, Reader
from router_backend.state.sqlite.checkpoints import log_name
from router_backend.state.sqlite.database import Database
from router_backend.state.sqlite.outbox import archived

_AGED_SECONDS = 86_400.0
# A reader that was heard of later than now was heard of under a wrong clock, and will be again under the right one.
_HEARD = "seen BETWEEN :now - :seconds AND :now + 10"


class SQLiteCompaction:
    """Of one log at a time: readers of a former one are passed over."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def follow(self, reader: Reader) -> int:
        now = time.time()
        with self._database.transaction() as connection:
            row = (reader.name, reader.log, reader.key, reader.sequence, now)
            connection.execute("INSERT OR REPLACE INTO readers VALUES (?, ?, ?, ?, ?)", row)
            aged = (now, reader.key, now - _AGED_SECONDS)  # not each time: a row is written with its megabytes
            connection.execute("UPDATE checkpoints SET written = ? WHERE key = ? AND written < ?", aged)
            return _meta(connection, "compacted")

    def readers(self) -> list[Reader]:
        with self._database.reading() as connection:
            query = f"SELECT name, log, sequence, key FROM readers WHERE {_HEARD} ORDER BY name"
            found = connection.execute(query, {"now": time.time(), "seconds": READER_SECONDS}).fetchall()
        return [Reader(*row) for row in found]

    def mark(self) -> int:
        with self._database.reading() as connection:
            return _meta(connection, "compacted")

    def compact(self, log: str) -> int:
        total = 0
        while True:
            with self._database.transaction() as connection:
                if log_name(connection) != log:
                    return total
                first = connection.execute("SELECT coalesce(min(sequence), 0) FROM events").fetchone()[0]
                last = min(_limit(connection, log), first + BATCH - 1)
                removed = connection.execute("DELETE FROM events WHERE sequence <= ?", (last,)).rowcount
                if removed:
                    _put_meta(connection, "compacted", last)
                    _put_meta(connection, "removed", removed_events(connection) + removed)
            total += removed
            if removed < BATCH:
                return total


def removed_events(connection: sqlite3.Connection) -> int:
    """How many events of the log are in the archive alone."""
    return _meta(connection, "removed")


def forget(connection: sqlite3.Connection) -> None:
    """The log that comes is whole."""
    connection.execute("DELETE FROM meta WHERE name IN ('compacted', 'removed')")
    connection.execute("DELETE FROM readers")


def _limit(connection: sqlite3.Connection, log: str) -> int:
    """The last event that nobody needs."""
    moment = {"now": time.time(), "log": log}
    heard = f"FROM readers WHERE log = :log AND {_HEARD}"
    (least,) = connection.execute(f"SELECT min(sequence) {heard}", moment | {"seconds": READER_SECONDS}).fetchone()
    if least is None:
        return 0
    limit = min(archived(connection), int(least))
    keys = connection.execute(f"SELECT DISTINCT key {heard} AND key <> ''", moment | {"seconds": KEY_SECONDS})
    for (key,) in keys.fetchall():
        query = "SELECT sequence FROM checkpoints WHERE key = ? ORDER BY sequence DESC LIMIT 2"
        held = [row[0] for row in connection.execute(query, (key,))]
        limit = min(limit, held[-1] if held else 0)
    connection.execute("DELETE FROM readers WHERE seen < ?", (time.time() - KEY_SECONDS,))
    return limit


def _meta(connection: sqlite3.Connection, name: str) -> int:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def _put_meta(connection: sqlite3.Connection, name: str, value: int) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))
