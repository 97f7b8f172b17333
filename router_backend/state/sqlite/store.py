"""The embedded store: one SQLite file in WAL mode, opened by several processes of one machine.

`synchronous=FULL` syncs the log at each commit, so what was acknowledged survives a power loss, not only a kill.
SQLite has one writer at a time and numbers events inside its transaction: sequences are gapless, and a reader never
sees a later one without all before it.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from router_backend.core.garbage import no_collections
from router_backend.core.observations import Observations
from router_backend.core.records import (
    Bound,
    Decision,
    Feedback,
    FeedbackResult,
    KeptFeedback,
    LearningEvent,
    Outcome,
    Place,
    Recorded,
    StoredResponse,
)
from router_backend.core.signals import precedence
from router_backend.state.base import FeedbackStore
from router_backend.state.codec import decode
from router_backend.state.compaction import Compaction
from router_backend.state.credit import credit, in_place_of, learning_event, pending_kind
from router_backend.state.rates import Levels, Use
from router_backend.state.spend import oldest_kept
from router_backend.state.sqlite.archive import SQLiteArchive
from router_backend.state.sqlite.checkpoints import get_checkpoints, log_name, put_checkpoint, put_claim
from router_backend.state.sqlite.clock import RetentionClock
from router_backend.state.sqlite.compaction import SQLiteCompaction
from router_backend.state.sqlite.database import Database
from router_backend.state.sqlite.outbox import SQLiteOutbox, prunable
from router_backend.state.sqlite.rates import draw
from router_backend.state.sqlite.rows import (
    EVENTS_AFTER,
    LEARNED_AFTER,
    count,
    drop_responses,
    event_of,
    get_decision,
    get_outcome,
    get_recent,
    get_recorded,
    get_response,
    observations_of,
    put_decision,
    put_event,
    put_feedback,
    put_outcome,
    put_response,
)
from router_backend.state.store import MISSING_ADVICE, Archive, Outbox, StoreMissing, UnknownDecision

_PRUNE_BATCH = 2000  # rows a transaction deletes, so that writers get in between
_SETTLE_BATCH = 500
_TIMES = (("decisions", "created"), ("outcomes", "completed"), ("feedback", "received"))
# One statement: the log may be shortened between two.
_EVENTS = "SELECT min(sequence), max(sequence), (SELECT value FROM meta WHERE name = 'removed') FROM events"
_DUE = "SELECT decision_id, body FROM feedback WHERE pending = ? AND received < ? LIMIT ?"


class SQLiteStore(FeedbackStore):
    """A `Store` in a file."""

    def __init__(self, path: Path, busy_seconds: float = 5.0, create: bool = True) -> None:
        """Open, or create if that is allowed; `busy_seconds` bounds the wait for another process's transaction."""
        super().__init__()
        if not create and not path.exists():
            raise StoreMissing(f"{path}: {MISSING_ADVICE}")
        self._database = Database(path, busy_seconds)
        self._clock = RetentionClock()

    def append(self, decisions: Sequence[Decision], outcomes: Sequence[Outcome]) -> None:
        with self._database.transaction() as connection:
            made = Counter(decision.model for decision in decisions if put_decision(connection, decision))
            for arm, number in made.items():
                count(connection, "decisions", arm, number)
            for outcome in outcomes:
                put_outcome(connection, outcome)

    def _commit_feedback(self, feedbacks: Sequence[Feedback]) -> list[FeedbackResult | UnknownDecision]:
        with self._database.transaction() as connection:
            results = [self._apply(connection, feedback) for feedback in feedbacks]
            if all(isinstance(result, UnknownDecision) for result in results):
                # Only a store that takes writes can say so: on a full disk the decision still waits to be written.
                connection.execute("UPDATE meta SET value = value WHERE name = 'clock'")
        return results

    def _apply(self, connection: sqlite3.Connection, feedback: Feedback) -> FeedbackResult | UnknownDecision:
        decision = get_decision(connection, feedback.decision_id)
        if decision is None:
            return UnknownDecision(feedback.decision_id)
        outcome = get_outcome(connection, feedback.decision_id)
        first = connection.execute(
            "SELECT arm, quality, cost, pending, body FROM feedback WHERE decision_id = ?", (feedback.decision_id,)
        ).fetchone()
        before = None if first is None else decode(Feedback, first[4])
        if first is not None and not _gives_way(first[3], before, feedback):
            arm, quality, cost, *_ = first
            return FeedbackResult(
                decision=decision, outcome=outcome, arm=arm, quality=quality, cost=cost, duplicate=True
            )
        feedback = in_place_of(feedback, before)
        result = credit(decision, outcome, feedback)
        if first is None:
            count(connection, "feedback", result.arm)
        pending = pending_kind(decision, outcome, feedback)
        put_feedback(connection, KeptFeedback(feedback, result.arm, result.quality, result.cost, pending))
        event = None if pending else learning_event(result, feedback)
        if event is not None:
            put_event(connection, event)
        return result

    def settle(self, implicit_before: float, unanswered_before: float) -> int:
        events = 0
        for pending in (("implicit", implicit_before), ("unanswered", unanswered_before)):
            while self._any_due(*pending):
                with self._database.transaction() as connection:
                    for decision_id, body in connection.execute(_DUE, (*pending, _SETTLE_BATCH)).fetchall():
                        events += _settle(connection, decision_id, decode(Feedback, body))
        return events

    def _any_due(self, pending: str, before: float) -> bool:
        """A look without the write lock: mostly there is nothing to settle."""
        with self._database.reading() as connection:
            return connection.execute(_DUE, (pending, before, 1)).fetchone() is not None

    def decision(self, decision_id: str) -> Decision | None:
        with self._database.reading() as connection:
            return get_decision(connection, decision_id)

    def outcome(self, decision_id: str) -> Outcome | None:
        with self._database.reading() as connection:
            return get_outcome(connection, decision_id)

    def recorded(self, decision_id: str) -> Recorded | None:
        with self._database.reading() as connection:
            return get_recorded(connection, decision_id)

    def recent(self, before: Place | None, limit: int) -> list[Recorded]:
        with self._database.reading() as connection:
            return get_recent(connection, before, limit)

    def events(self, after: int, limit: int = 1000) -> list[LearningEvent]:
        with self._database.reading() as connection:
            rows = connection.execute(EVENTS_AFTER, (after, limit)).fetchall()
        return [event_of(row) for row in rows]

    def observations(self, after: int, limit: int = 1000) -> Observations:
        with no_collections():
            with self._database.reading() as connection:
                rows = connection.execute(LEARNED_AFTER, (after, limit)).fetchall()
            return observations_of(rows)

    def event_count(self) -> int:
        with self._database.reading() as connection:
            first, last, removed = connection.execute(_EVENTS).fetchone()
        return int(removed or 0) + (0 if first is None else int(last - first + 1))  # without gaps: no need to count

    def log_end(self) -> int:
        with self._database.reading() as connection:
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        return int(row[0]) if row else 0

    def counts(self) -> dict[str, dict[str, int]]:
        with self._database.reading() as connection:
            rows = connection.execute("SELECT arm, decisions, feedback FROM counters ORDER BY arm").fetchall()
        return {arm: {"decisions": decisions, "feedback": feedback} for arm, decisions, feedback in rows}

    def spend(self, period: str) -> dict[str, float]:
        with self._database.reading() as connection:
            return dict(connection.execute("SELECT key, usd FROM spend WHERE period = ?", (period,)).fetchall())

    def prune(self, before: float, done: bool = False) -> int:
        with self._database.transaction() as connection:
            now = self._clock.now(connection)
            connection.execute("DELETE FROM spend WHERE period < ?", (oldest_kept(now),))
        before -= max(0.0, time.time() - now)
        removed = [self._prune(*table, before, done) for table in _TIMES]
        self._prune("responses", "created", before, done=False)  # no archive has them
        return removed[0]

    def _prune(self, table: str, time_column: str, before: float, done: bool) -> int:
        old = f"SELECT rowid FROM {table} WHERE {time_column} < ? AND rowid < ? LIMIT {_PRUNE_BATCH}"
        total = 0
        while True:
            with self._database.transaction() as connection:
                within = (before, prunable(connection, table, done))
                removed = connection.execute(f"DELETE FROM {table} WHERE rowid IN ({old})", within).rowcount
            total += removed
            if removed < _PRUNE_BATCH:
                return total

    def keep_response(self, response: StoredResponse, bound: Bound | None = None) -> None:
        with self._database.transaction() as connection:
            put_response(connection, response)
            if bound is not None:
                drop_responses(connection, response.key, bound)

    def response(self, response_id: str) -> StoredResponse | None:
        with self._database.reading() as connection:
            return get_response(connection, response_id)

    def forget_response(self, response_id: str) -> bool:
        with self._database.transaction() as connection:
            removed = connection.execute("DELETE FROM responses WHERE response_id = ?", (response_id,))
        return removed.rowcount == 1

    def log(self) -> str:
        with self._database.reading() as connection:
            return log_name(connection)

    def checkpoints(self, key: str) -> list[bytes]:
        with self._database.reading() as connection:
            return get_checkpoints(connection, key)

    def save_checkpoint(self, key: str, log: str, sequence: int, data: bytes) -> bool:
        with self._database.transaction() as connection:
            return log_name(connection) == log and put_checkpoint(connection, key, sequence, data)

    def claim(self, name: str, holder: str, seconds: float) -> bool:
        with self._database.transaction() as connection:
            return put_claim(connection, name, holder, seconds)

    def draw(self, gateway: str, uses: Sequence[Use]) -> Levels:
        with self._database.transaction() as connection:
            return draw(connection, gateway, uses)

    def compaction(self) -> Compaction:
        return SQLiteCompaction(self._database)

    def archive(self) -> Archive:
        return SQLiteArchive(self._database)

    def outbox(self) -> Outbox:
        return SQLiteOutbox(self._database)

    def close(self) -> None:
        self._database.close()


def _gives_way(pending: str, before: Feedback | None, feedback: Feedback) -> bool:
    """Whether a kept feedback is replaced by another one: it is pending, and the other says more."""
    if pending != "implicit" or before is None:
        return False
    return precedence(feedback.implicit) > precedence(before.implicit)


def _settle(connection: sqlite3.Connection, decision_id: str, feedback: Feedback) -> bool:
    """Let a pending feedback teach; False if its decision was pruned meanwhile."""
    decision = get_decision(connection, decision_id)
    if decision is None:
        connection.execute("UPDATE feedback SET pending = '' WHERE decision_id = ?", (decision_id,))
        return False
    result = credit(decision, get_outcome(connection, decision_id), feedback)
    put_feedback(connection, KeptFeedback(feedback, result.arm, result.quality, result.cost))
    event = learning_event(result, feedback)
    if event is not None:
        put_event(connection, event)
    return True
