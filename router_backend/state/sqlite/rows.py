"""Records to rows and back. Each function runs inside its caller's transaction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

import numpy as np
import orjson

from router_backend.core.observations import Labels, Observations
from router_backend.core.records import (
    Bound,
    Decision,
    Feedback,
    KeptFeedback,
    LearningEvent,
    Outcome,
    Place,
    Recorded,
    StoredResponse,
    Usage,
)
from router_backend.state.codec import decode, encode, join, pack_context, split, unpack_context
from router_backend.state.columns import contexts_of, judged_of, numbers, tokens_of
from router_backend.state.spend import charges

_EVENT_FIELDS = (
    "decision_id",
    "arm",
    "at",
    "embedding_space",
    "context",
    "task",
    "quality",
    "cost",
    "output_tokens",
    "usage",
    "source",
    "judged",
    "revision",
)
EVENT_COLUMNS = ", ".join(_EVENT_FIELDS)
EVENTS_AFTER = f"SELECT sequence, {EVENT_COLUMNS} FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?"
_LEARNED = (
    *("sequence", "arm", "at", "embedding_space", "context", "task", "quality", "cost"),
    *("output_tokens", "usage", "source", "judged", "revision"),
)
LEARNED_AFTER = f"SELECT {', '.join(_LEARNED)} FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?"
_INSERT_EVENT = f"INSERT INTO events ({EVENT_COLUMNS}) VALUES ({', '.join('?' * len(_EVENT_FIELDS))})"

_NO_ROWS: tuple[tuple[Any, ...], ...] = ((),) * len(_LEARNED)
_RECORDED = (
    "SELECT d.body, o.body, f.body, f.arm, f.quality, f.cost, f.pending FROM decisions d"
    " LEFT JOIN outcomes o ON o.decision_id = d.decision_id LEFT JOIN feedback f ON f.decision_id = d.decision_id"
)
_BEFORE = "d.created <= :created AND (d.created < :created OR d.decision_id < :id)"
_RECENT = f"{_RECORDED} WHERE {_BEFORE} ORDER BY d.created DESC, d.decision_id DESC LIMIT :limit"

_ADD_SPEND = "INSERT INTO spend VALUES (?, ?, ?) ON CONFLICT (period, key) DO UPDATE SET usd = usd + excluded.usd"


def get_decision(connection: Connection, decision_id: str) -> Decision | None:
    row = connection.execute("SELECT body, context FROM decisions WHERE decision_id = ?", (decision_id,)).fetchone()
    return join(Decision, *row) if row else None


def get_outcome(connection: Connection, decision_id: str) -> Outcome | None:
    row = connection.execute("SELECT body FROM outcomes WHERE decision_id = ?", (decision_id,)).fetchone()
    return decode(Outcome, row[0]) if row else None


def get_recorded(connection: Connection, decision_id: str) -> Recorded | None:
    row = connection.execute(f"{_RECORDED} WHERE d.decision_id = ?", (decision_id,)).fetchone()
    return _recorded(row) if row else None


def get_recent(connection: Connection, before: Place | None, limit: int) -> list[Recorded]:
    """The latest first."""
    created, decision_id = before or (math.inf, "")
    rows = connection.execute(_RECENT, {"created": created, "id": decision_id, "limit": limit})
    return [_recorded(row) for row in rows]


def _recorded(row: tuple[Any, ...]) -> Recorded:
    decision, outcome, feedback, *credited = row
    return Recorded(
        decode(Decision, decision),
        None if outcome is None else decode(Outcome, outcome),
        None if feedback is None else KeptFeedback(decode(Feedback, feedback), *credited),
    )


def put_decision(connection: Connection, decision: Decision) -> bool:
    """False if there was one of that id."""
    row = (decision.decision_id, decision.created, decision.model, *split(decision))
    return connection.execute("INSERT OR IGNORE INTO decisions VALUES (?, ?, ?, ?, ?)", row).rowcount == 1


def put_outcome(connection: Connection, outcome: Outcome) -> None:
    """Unless there is one of that id; what it cost is added to its key's spending."""
    row = (outcome.decision_id, outcome.completed, outcome.served, encode(outcome))
    if connection.execute("INSERT OR IGNORE INTO outcomes VALUES (?, ?, ?, ?)", row).rowcount == 1:
        for charge in charges(outcome):
            connection.execute(_ADD_SPEND, charge)


def get_response(connection: Connection, response_id: str) -> StoredResponse | None:
    row = connection.execute(
        "SELECT key, created, body FROM responses WHERE response_id = ?", (response_id,)
    ).fetchone()
    return StoredResponse(response_id=response_id, key=row[0], created=row[1], body=row[2]) if row else None


def put_response(connection: Connection, response: StoredResponse) -> None:
    """Unless there is one of that id."""
    row = (response.response_id, response.key, response.created, response.body)
    connection.execute("INSERT OR IGNORE INTO responses VALUES (?, ?, ?, ?)", row)


def drop_responses(connection: Connection, key: str, bound: Bound) -> None:
    """What a key has beyond the bound."""
    latest = "SELECT response_id, length(body) FROM responses WHERE key = ? ORDER BY created DESC, rowid DESC"
    gone = [(name,) for name in bound.beyond(connection.execute(latest, (key,)).fetchall())]
    connection.executemany("DELETE FROM responses WHERE response_id = ?", gone)


def put_feedback(connection: Connection, kept: KeptFeedback) -> None:
    """In place of what there was."""
    feedback = kept.feedback
    connection.execute(
        "INSERT OR REPLACE INTO feedback (decision_id, received, arm, quality, cost, pending, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (feedback.decision_id, feedback.received, kept.arm, kept.quality, kept.cost, kept.pending, encode(feedback)),
    )


def put_event(connection: Connection, event: LearningEvent) -> None:
    """At the end of the log: the event's own sequence is passed over."""
    values = {field: getattr(event, field) for field in _EVENT_FIELDS}
    values["context"] = pack_context(event.context)
    values["usage"] = None if event.usage is None else encode(event.usage)
    values["judged"] = orjson.dumps(event.judged) if event.judged else None
    connection.execute(_INSERT_EVENT, tuple(values.values()))


def event_of(row: tuple[Any, ...]) -> LearningEvent:
    """From a row of `EVENTS_AFTER`."""
    values = dict(zip(("sequence", *_EVENT_FIELDS), row, strict=True))
    values["context"] = unpack_context(values["context"])
    values["usage"] = None if values["usage"] is None else decode(Usage, values["usage"])
    values["judged"] = orjson.loads(values["judged"]) if values["judged"] else {}
    return LearningEvent(**values)


def observations_of(rows: Sequence[tuple[Any, ...]]) -> Observations:
    """From rows of `LEARNED_AFTER`."""
    columns: dict[str, Sequence[Any]] = dict(zip(_LEARNED, zip(*rows, strict=True) if rows else _NO_ROWS, strict=True))
    contexts, lengths = contexts_of(columns["context"])
    completion, reasoning = tokens_of(columns["usage"])
    return Observations(
        sequences=np.array(columns["sequence"], np.int64),
        arms=Labels.of(columns["arm"]),
        at=numbers(columns["at"]),
        spaces=np.array(columns["embedding_space"], np.int64),
        contexts=contexts,
        lengths=lengths,
        tasks=Labels.of(columns["task"]),
        qualities=numbers(columns["quality"]),
        costs=numbers(columns["cost"]),
        output_tokens=numbers(columns["output_tokens"]),
        completion_tokens=completion,
        reasoning_tokens=reasoning,
        sources=Labels.of(columns["source"]),
        revisions=Labels.of(columns["revision"]),
        judged=judged_of(orjson.loads(judged) if judged else {} for judged in columns["judged"]),
    )


def count(connection: Connection, column: str, arm: str, number: int = 1) -> None:
    """Add to an arm's number of `decisions` or `feedback`."""
    connection.execute(
        f"INSERT INTO counters (arm, {column}) VALUES (?, ?)"
        f" ON CONFLICT (arm) DO UPDATE SET {column} = {column} + excluded.{column}",
        (arm, number),
    )
