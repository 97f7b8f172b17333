"""The embedded store: one SQLite file in WAL mode, opened by several processes of one machine.

`synchronous=FULL` syncs the log at each commit, so what was acknowledged survives a power loss, not only a kill.
SQLite has one writer at a time and numbers events inside its transaction: sequences are gapless, and a reader never
sees a later one without all before it.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from router_backend.state.codec import decode, encode, join_decision, pack_context, split_decision, unpack_context
from router_backend.state.credit import check_feedback, credit, learning_event, pending_kind
from router_backend.state.group import GroupCommit
from router_backend.state.migrations import migrate
from router_backend.state.records import Decision, Feedback, FeedbackResult, LearningEvent, Outcome
from router_backend.state.store import StoreError, UnknownDecision

_PRUNE_BATCH = 2000  # rows a transaction deletes, so that writers get in between
_SETTLE_BATCH = 500
_DUE = "SELECT decision_id, body FROM feedback WHERE pending = ? AND received < ? LIMIT ?"
_EVENT_COLUMNS = (
    "decision_id, arm, at, embedding_space, context, task, quality, cost, output_tokens"  # of LearningEvent
)


class SQLiteStore:
    """A `Store` in a file. Thread-safe: one connection writes, one reads, each behind a lock."""

    def __init__(self, path: Path, busy_seconds: float = 5.0) -> None:
        """Open or create; `busy_seconds` bounds the wait for another process's transaction."""
        self._path = path
        self._busy_seconds = busy_seconds
        self._write_lock, self._read_lock = threading.Lock(), threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{path.parent}: can't be created ({error}); choose another --state-dir") from error
        with self._errors():
            self._writer, self._reader = self._connect(), self._connect()
            self._writer.execute("PRAGMA busy_timeout = 0")  # `_begin` waits instead
        self._feedback: GroupCommit[Feedback, FeedbackResult | UnknownDecision] = GroupCommit(self._commit_feedback)

    def append(self, decisions: Sequence[Decision], outcomes: Sequence[Outcome]) -> None:
        decided = [(d.decision_id, d.created, d.model, *split_decision(d)) for d in decisions]
        answered = [(o.decision_id, o.completed, o.served, encode(o)) for o in outcomes]
        with self._transaction() as connection:
            for row in decided:
                if connection.execute("INSERT OR IGNORE INTO decisions VALUES (?, ?, ?, ?, ?)", row).rowcount:
                    _count(connection, "decisions", row[2])
            connection.executemany("INSERT OR IGNORE INTO outcomes VALUES (?, ?, ?, ?)", answered)

    def add_feedback(self, feedback: Feedback) -> FeedbackResult:
        result = self.add_feedback_many([feedback])[0]
        if isinstance(result, UnknownDecision):
            raise result
        return result

    def add_feedback_many(self, feedbacks: Sequence[Feedback]) -> list[FeedbackResult | UnknownDecision]:
        for feedback in feedbacks:
            check_feedback(feedback)
        return list(self._feedback.submit(feedbacks)) if feedbacks else []

    def _commit_feedback(self, feedbacks: Sequence[Feedback]) -> list[FeedbackResult | UnknownDecision]:
        with self._transaction() as connection:
            return [self._apply(connection, feedback) for feedback in feedbacks]

    def _apply(self, connection: sqlite3.Connection, feedback: Feedback) -> FeedbackResult | UnknownDecision:
        decision = _decision(connection, feedback.decision_id)
        if decision is None:
            return UnknownDecision(feedback.decision_id)
        outcome = _outcome(connection, feedback.decision_id)
        kept = connection.execute(
            "SELECT arm, quality, cost, pending FROM feedback WHERE decision_id = ?", (feedback.decision_id,)
        ).fetchone()
        if kept is not None and (feedback.implicit or kept[3] != "implicit"):
            arm, quality, cost, _ = kept
            return FeedbackResult(
                decision=decision, outcome=outcome, arm=arm, quality=quality, cost=cost, duplicate=True
            )
        result = credit(decision, outcome, feedback)
        if kept is None:
            _count(connection, "feedback", result.arm)
        pending = pending_kind(decision, outcome, feedback)
        event = None if pending else learning_event(result, feedback)
        connection.execute(
            "INSERT OR REPLACE INTO feedback (decision_id, received, arm, quality, cost, sequence, pending, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                feedback.decision_id,
                feedback.received,
                result.arm,
                result.quality,
                result.cost,
                _insert_event(connection, event),
                pending,
                encode(feedback),
            ),
        )
        return result

    def settle(self, implicit_before: float, unanswered_before: float) -> int:
        settled = 0
        for pending in (("implicit", implicit_before), ("unanswered", unanswered_before)):
            while self._any_due(*pending):
                with self._transaction() as connection:
                    for decision_id, body in connection.execute(_DUE, (*pending, _SETTLE_BATCH)).fetchall():
                        settled += _settle(connection, decision_id, decode(Feedback, body))
        return settled

    def _any_due(self, pending: str, before: float) -> bool:
        """A look without the write lock: mostly there is nothing to settle."""
        with self._reading() as connection:
            return connection.execute(_DUE, (pending, before, 1)).fetchone() is not None

    def decision(self, decision_id: str) -> Decision | None:
        with self._reading() as connection:
            return _decision(connection, decision_id)

    def outcome(self, decision_id: str) -> Outcome | None:
        with self._reading() as connection:
            return _outcome(connection, decision_id)

    def events(self, after: int, limit: int = 1000) -> list[LearningEvent]:
        with self._reading() as connection:
            rows = connection.execute(
                f"SELECT sequence, {_EVENT_COLUMNS} FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?",
                (after, limit),
            ).fetchall()
        return [_event(row) for row in rows]

    def counts(self) -> dict[str, dict[str, int]]:
        with self._reading() as connection:
            rows = connection.execute("SELECT arm, decisions, feedback FROM counters ORDER BY arm").fetchall()
        return {arm: {"decisions": decisions, "feedback": feedback} for arm, decisions, feedback in rows}

    def prune(self, before: float) -> int:
        removed = [0, 0, 0]
        for index, (table, time_column) in enumerate(
            (("decisions", "created"), ("outcomes", "completed"), ("feedback", "received"))
        ):
            while True:
                with self._transaction() as connection:
                    count = connection.execute(
                        f"DELETE FROM {table} WHERE rowid IN"
                        f" (SELECT rowid FROM {table} WHERE {time_column} < ? LIMIT {_PRUNE_BATCH})",
                        (before,),
                    ).rowcount
                removed[index] += count
                if count < _PRUNE_BATCH:
                    break
        return removed[0]

    def close(self) -> None:
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA busy_timeout = {int(self._busy_seconds * 1000)}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            migrate(connection, str(self._path))
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, durable when it ends."""
        with self._errors(), self._write_lock:
            self._begin()
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def _begin(self) -> None:
        """BEGIN IMMEDIATE, asking again each millisecond or so: SQLite's own busy handler sleeps for up to 100 ms."""
        deadline = time.monotonic() + self._busy_seconds
        while True:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(random.uniform(0.0002, 0.001))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._errors(), self._read_lock:
            yield self._reader

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {_advice(error)}") from error


def _advice(error: sqlite3.Error) -> str:
    """What to do, by SQLite's primary result code (https://sqlite.org/rescode.html)."""
    code = getattr(error, "sqlite_errorcode", None)
    advice = {
        sqlite3.SQLITE_FULL: "the disk is full; free space, or lower `retention_days`",
        sqlite3.SQLITE_BUSY: "locked by another process for too long; find it (`fuser`) or try again",
        sqlite3.SQLITE_READONLY: "read-only; give the server's user write access to the file and its folder",
        sqlite3.SQLITE_CANTOPEN: "can't be opened; check that the folder exists and that the server's user may write in it",
        sqlite3.SQLITE_IOERR: "the disk failed; check it, and that the folder is local (no network file system)",
        sqlite3.SQLITE_CORRUPT: "damaged; stop the server and restore it with `llm-router state import` from an export",
        sqlite3.SQLITE_NOTADB: "not a state file; name another file in `state:`, or move this one away",
    }.get(code & 0xFF if code is not None else -1)
    return f"{advice} (SQLite: {error})" if advice else f"SQLite: {error}; the write was not done"


def _decision(connection: sqlite3.Connection, decision_id: str) -> Decision | None:
    row = connection.execute("SELECT body, context FROM decisions WHERE decision_id = ?", (decision_id,)).fetchone()
    return join_decision(*row) if row else None


def _outcome(connection: sqlite3.Connection, decision_id: str) -> Outcome | None:
    row = connection.execute("SELECT body FROM outcomes WHERE decision_id = ?", (decision_id,)).fetchone()
    return decode(Outcome, row[0]) if row else None


def _count(connection: sqlite3.Connection, column: str, arm: str) -> None:
    connection.execute(
        f"INSERT INTO counters (arm, {column}) VALUES (?, 1) ON CONFLICT (arm) DO UPDATE SET {column} = {column} + 1",
        (arm,),
    )


def _settle(connection: sqlite3.Connection, decision_id: str, feedback: Feedback) -> bool:
    """Let a pending feedback teach; False if its decision was pruned meanwhile."""
    decision = _decision(connection, decision_id)
    if decision is None:
        connection.execute("UPDATE feedback SET pending = '' WHERE decision_id = ?", (decision_id,))
        return False
    result = credit(decision, _outcome(connection, decision_id), feedback)
    connection.execute(
        "UPDATE feedback SET pending = '', arm = ?, cost = ?, sequence = ? WHERE decision_id = ?",
        (result.arm, result.cost, _insert_event(connection, learning_event(result, feedback)), decision_id),
    )
    return True


def _insert_event(connection: sqlite3.Connection, event: LearningEvent | None) -> int | None:
    if event is None:
        return None
    return connection.execute(
        f"INSERT INTO events ({_EVENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            event.decision_id,
            event.arm,
            event.at,
            event.embedding_space,
            pack_context(event.context),
            event.task,
            event.quality,
            event.cost,
            event.output_tokens,
        ),
    ).lastrowid


def _event(row: tuple) -> LearningEvent:  # type: ignore[type-arg]
    names = ("sequence", *_EVENT_COLUMNS.split(", "))
    values = dict(zip(names, row, strict=True))
    return LearningEvent(**{**values, "context": unpack_context(values["context"])})
