"""The SQLite file itself: connections, transactions across processes, and errors that say what to do."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from router_backend.state.sqlite.file import FileIdentity, keep_private
from router_backend.state.sqlite.migrations import migrate
from router_backend.state.store import StoreError


class Database:
    """Thread-safe: one connection writes, one reads, each behind a lock."""

    def __init__(self, path: Path, busy_seconds: float) -> None:
        """Open or create; `busy_seconds` bounds the wait for another process's transaction."""
        self.path = path
        self._busy_seconds = busy_seconds
        self._write_lock, self._read_lock = threading.Lock(), threading.Lock()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{path.parent}: can't be created ({error}); choose another --state-dir") from error
        keep_private(path, create=True)
        with self._errors():
            self.writer, self._reader = self._connect(), self._connect()
            self.writer.execute("PRAGMA busy_timeout = 0")  # `_begin` waits instead
            self._file = FileIdentity(path, self._reader)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, durable when it ends."""
        with self._errors(), self._write_lock:
            self._begin()
            try:
                yield self.writer
                self.writer.execute("COMMIT")
            except BaseException:
                if self.writer.in_transaction:
                    self.writer.execute("ROLLBACK")
                raise
            self._file.check(self.writer)  # after the write: it went where the next start will look for it

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        with self._errors(), self._read_lock:
            self._file.check(self._reader)
            yield self._reader

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own that sees the file as it is now, whatever is written meanwhile."""
        with self._errors():
            connection = self._connect()
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                connection.close()

    def close(self) -> None:
        with self._write_lock, self._read_lock:
            self._reader.close()
            self.writer.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA busy_timeout = {int(self._busy_seconds * 1000)}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            migrate(connection, str(self.path))
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin(self) -> None:
        """BEGIN IMMEDIATE, asking again each millisecond or so: SQLite's own busy handler sleeps for up to 100 ms."""
        deadline = time.monotonic() + self._busy_seconds
        while True:
            try:
                self.writer.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(random.uniform(0.0002, 0.001))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {_advice(error)}") from error


def _advice(error: sqlite3.Error) -> str:
    """What to do, by SQLite's primary result code (https://sqlite.org/rescode.html)."""
    code = getattr(error, "sqlite_errorcode", None)
    advice = {
        sqlite3.SQLITE_FULL: "the disk is full; free space, or lower `retention_days`",
        sqlite3.SQLITE_BUSY: "locked by another process for too long; find it (`fuser`) or try again",
        sqlite3.SQLITE_READONLY: "read-only; give the server's user write access to the file and its folder",
        sqlite3.SQLITE_CANTOPEN: "can't be opened; check that the folder exists and that the server's user may write in it",
        sqlite3.SQLITE_IOERR: "the disk failed; check it, and that the folder is local (no network file system)",
        sqlite3.SQLITE_CORRUPT: "damaged; stop the server, move the file away and `llm-router state import` an export",
        sqlite3.SQLITE_NOTADB: "not a state file; name another file in `state:`, or move this one away",
    }.get(code & 0xFF if code is not None else -1)
    return f"{advice} (SQLite: {error})" if advice else f"SQLite: {error}; the write was not done"
