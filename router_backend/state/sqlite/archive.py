"""All that an SQLite store keeps, to copy it or to start from nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from router_backend.core.records import Decision, Feedback, KeptFeedback, LearningEvent, Outcome, Record, Tally
from router_backend.state.codec import decode, join
from router_backend.state.sqlite import compaction, outbox
from router_backend.state.sqlite.database import Database
from router_backend.state.sqlite.rows import (
    EVENTS_AFTER,
    count,
    event_of,
    put_decision,
    put_event,
    put_feedback,
    put_outcome,
)

_TABLES = ("decisions", "outcomes", "feedback", "events", "counters", "spend", "responses")


class SQLiteArchive:
    """The `Archive` of a file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def records(self) -> Iterator[Record]:
        with self._database.snapshot() as connection:
            for row in connection.execute("SELECT body, context FROM decisions ORDER BY created"):
                yield join(Decision, *row)
            for (body,) in connection.execute("SELECT body FROM outcomes ORDER BY completed"):
                yield decode(Outcome, body)
            columns = "body, arm, quality, cost, pending"
            for body, *rest in connection.execute(f"SELECT {columns} FROM feedback ORDER BY received"):
                yield KeptFeedback(decode(Feedback, body), *rest)
            for row in connection.execute(EVENTS_AFTER, (0, -1)):
                yield event_of(row)
            for row in connection.execute("SELECT arm, decisions, feedback FROM counters"):
                yield Tally(*row)

    def restore(self, records: Sequence[Record]) -> None:
        with self._database.transaction() as connection:
            for record in records:
                match record:
                    case Decision():
                        put_decision(connection, record)
                    case Outcome():
                        put_outcome(connection, record)
                    case KeptFeedback():
                        put_feedback(connection, record)
                    case LearningEvent():
                        put_event(connection, record)
                    case Tally():
                        count(connection, "decisions", record.arm, record.decisions)
                        count(connection, "feedback", record.arm, record.feedback)

    def empty(self) -> bool:
        with self._database.reading() as connection:
            return not any(connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in _TABLES)

    def clear(self) -> None:
        with self._database.transaction() as connection:
            for (
                table
            ) in _TABLES:  # not SQLite's own table of sequences: these go on, so that no reader overlooks an event
                connection.execute(f"DELETE FROM {table}")
            connection.execute("DELETE FROM checkpoints")
            outbox.forget(connection)
            compaction.forget(connection)
            connection.execute("UPDATE meta SET value = lower(hex(randomblob(16))) WHERE name = 'log'")
