"""The archive's tables: Arrow schemas, and records as their columns.

A table is a folder `v1/<table>/day=YYYY-MM-DD` of Parquet files; `day` is the UTC day of the decision that a row belongs to, so that
rows of one decision lie in one day in every table. Within a version columns are added and never renamed, nor does one change its
type. No column holds text of a prompt, of an answer or of a client's tags.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from router_backend.core.ids import decided_at
from router_backend.core.records import Decision, KeptFeedback, LearningEvent, Outcome, Usage

VERSION = 1
_TIME = pa.timestamp("us", "UTC")
_FLOATS = pa.list_(pa.float32())
_DOUBLES = pa.list_(pa.float64())
_TEXTS = pa.list_(pa.string())
_SHADOWS = pa.list_(pa.struct([("policy", pa.string()), ("model", pa.string())]))
_FARTHEST = 1000 * 86_400.0  # seconds; an id that says another time than its record by more isn't believed

_JUDGED = pa.list_(pa.struct([("signal", pa.string()), ("score", pa.float64())]))

Archived = Decision | Outcome | KeptFeedback | LearningEvent
Column = tuple[str, pa.DataType, str, Callable[[Any], Any]]
"""Name, type, what it is, and its value of a record."""


def _usage(name: str) -> Callable[[LearningEvent], int | None]:
    return lambda event: None if event.usage is None else getattr(event.usage, name)


def _own(name: str) -> Callable[[Any], Any]:
    return lambda record: getattr(record, name)


def _scored(name: str) -> Callable[[KeptFeedback], Any]:
    return lambda kept: getattr(kept.feedback, name)


def _judged(scores: Mapping[str, float]) -> list[dict[str, Any]]:
    return [{"signal": signal, "score": score} for signal, score in scores.items()]


def _at(seconds: float) -> int:
    return round(seconds * 1_000_000)


_DECISIONS: tuple[Column, ...] = (
    ("decision_id", pa.string(), "UUIDv7; unique", _own("decision_id")),
    ("created", _TIME, "when the model was chosen", lambda d: _at(d.created)),
    ("kind", pa.string(), "`routed` (a policy chose), `named` (the client did) or `fallback` (routing failed)", _own("kind")),
    ("model", pa.string(), "the model that was chosen", _own("model")),
    ("reason", pa.string(), "why, such as `policy:linucb`", _own("reason")),
    ("policy", pa.string(), "", _own("policy")),
    ("policy_version", pa.string(), "", _own("policy_version")),
    ("experiment", pa.string(), "", _own("experiment")),
    ("task", pa.string(), "the most probable one; empty without a classification", _own("task")),
    ("task_probabilities", _FLOATS, "in the order of `tasks`", lambda d: list(d.task_probabilities)),
    ("tasks", _TEXTS, "empty or null: the twelve, in alphabetical order", lambda d: list(d.tasks)),
    ("complexity", pa.float32(), "0 to 1", _own("complexity")),
    ("embedding_space", pa.int64(), "of `context`", _own("embedding_space")),
    ("context", _FLOATS, "what the policy saw: the embedding and a few features; empty for named models", _own("context")),
    ("candidates", _TEXTS, "the models that could be chosen", lambda d: list(d.candidates)),
    ("scores", _DOUBLES, "of `candidates`", lambda d: list(d.scores)),
    ("propensity", pa.float64(), "probability of `model`, given `candidates`; null: no policy chose", _own("propensity")),
    ("expected_cost", _DOUBLES, "USD, of `candidates`", lambda d: list(d.expected_cost)),
    ("cost_weight", pa.float64(), "how much one USD reduced the expected reward", _own("cost_weight")),
    ("shadows", _SHADOWS, "what shadow policies would have chosen", lambda d: [{"policy": p, "model": m} for p, m in d.shadows]),
    ("session", pa.string(), "keyed hash of the session's id", _own("session")),
    ("prompt", pa.string(), "keyed hash of the prompt", _own("prompt")),
)  # fmt: skip

_OUTCOMES: tuple[Column, ...] = (
    ("decision_id", pa.string(), "of `decisions`; unique", _own("decision_id")),
    ("completed", _TIME, "when the answer ended", lambda o: _at(o.completed)),
    ("served", pa.string(), "the model that answered; after a fallback, not the decision's", _own("served")),
    ("status", pa.int32(), "HTTP status; 499: the client left", _own("status")),
    ("finish_reason", pa.string(), "", _own("finish_reason")),
    ("usage_known", pa.bool_(), "whether the upstream counted the tokens", _own("usage_known")),
    ("prompt_tokens", pa.int64(), "", lambda o: o.usage.prompt),
    ("cached_tokens", pa.int64(), "of `prompt_tokens`", lambda o: o.usage.cached),
    ("cache_write_tokens", pa.int64(), "of `prompt_tokens`: what a cache took", lambda o: o.usage.cache_write),
    ("completion_tokens", pa.int64(), "", lambda o: o.usage.completion),
    ("reasoning_tokens", pa.int64(), "of `completion_tokens`", lambda o: o.usage.reasoning),
    ("cost", pa.float64(), "USD; null: not known", _own("cost")),
    ("latency", pa.float64(), "seconds, whole answer", _own("latency")),
    ("first_token", pa.float64(), "seconds", _own("first_token")),
    ("upstream", pa.float64(), "seconds that the upstream took", _own("upstream")),
    ("streamed", pa.bool_(), "", _own("streamed")),
    ("key", pa.string(), "name of the API key", _own("key")),
    ("revision", pa.string(), "of the model that answered; empty: not known", _own("revision")),
    ("fault", pa.string(), "of a failure: `arm`, `client`, `router` or `nobody`", _own("fault")),
    (
        "batch_discount",
        pa.float64(),
        "USD that the upstream's Batch API took off `cost`; null: of an earlier version",
        _own("batch_discount"),
    ),
)

_FEEDBACK: tuple[Column, ...] = (
    ("decision_id", pa.string(), "of `decisions`; unique: the feedback that counts", _scored("decision_id")),
    ("received", _TIME, "", lambda k: _at(k.feedback.received)),
    ("score", pa.float64(), "0 to 1", _scored("score")),
    ("cost", pa.float64(), "USD, if the feedback gives it", _scored("cost")),
    ("task", pa.string(), "the right label, if the feedback gives it", _scored("task")),
    ("implicit", pa.string(), "name of the signal; empty: a person or a program gave it", _scored("implicit")),
    ("selected", pa.float64(), "probability that this answer was chosen to be scored", _scored("selected")),
    ("judged", _JUDGED, "the signals whose place this one took", lambda k: _judged(k.feedback.judged)),
    ("arm", pa.string(), "the model that is credited", _own("arm")),
    ("quality", pa.float64(), "what it is credited with", _own("quality")),
    ("credited_cost", pa.float64(), "USD that it is charged with", _own("cost")),
)

_USAGE = ("prompt", "cached", "cache_write", "completion", "reasoning")

_EVENTS: tuple[Column, ...] = (
    ("sequence", pa.int64(), "place in the log; unique within `log`", _own("sequence")),
    ("decision_id", pa.string(), "of `decisions`", _own("decision_id")),
    ("arm", pa.string(), "the model that answered", _own("arm")),
    ("at", _TIME, "when the decision was made", lambda e: _at(e.at)),
    ("embedding_space", pa.int64(), "of `context`", _own("embedding_space")),
    ("context", _FLOATS, "as in `decisions`", _own("context")),
    ("task", pa.string(), "", _own("task")),
    ("quality", pa.float64(), "0 to 1", _own("quality")),
    ("cost", pa.float64(), "USD", _own("cost")),
    ("output_tokens", pa.int64(), "null: not known", _own("output_tokens")),
    ("source", pa.string(), "of `quality`: name of the signal; empty: somebody's score", _own("source")),
    ("judged", _JUDGED, "what signals said of the answer beside it", lambda e: _judged(e.judged)),
    ("revision", pa.string(), "of the model that answered; empty: not known", _own("revision")),
    *((f"{name}_tokens", pa.int64(), "as in `outcomes`; null: not known, or `cost` is the feedback's own", _usage(name))
      for name in _USAGE),
)  # fmt: skip

LOG = "log"
"""The column beside those of `events`: the name of the log, which `state reset` changes."""

TABLES: Mapping[str, tuple[Column, ...]] = {
    "decisions": _DECISIONS,
    "outcomes": _OUTCOMES,
    "feedback": _FEEDBACK,
    "events": _EVENTS,
}
_KINDS: dict[type, str] = {
    Decision: "decisions",
    Outcome: "outcomes",
    KeptFeedback: "feedback",
    LearningEvent: "events",
}
UNIQUE: Mapping[str, tuple[str, ...]] = dict.fromkeys(TABLES, ("decision_id",)) | {"events": (LOG, "sequence")}
"""The columns that tell a row from every other one: a file may be written twice."""


def table_of(record: Archived) -> str:
    return _KINDS[type(record)]


def day_of(record: Archived) -> str:
    """The UTC day of the decision, such as `2026-11-29`: by its id, or the record's own time where the id doesn't say it."""
    match record:
        case Decision():
            identity, own = record.decision_id, record.created
        case Outcome():
            identity, own = record.decision_id, record.completed
        case KeptFeedback():
            identity, own = record.feedback.decision_id, record.feedback.received
        case LearningEvent():
            identity, own = record.decision_id, record.at
    decided = decided_at(identity)
    at = decided if decided is not None and abs(decided - own) < _FARTHEST else own
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def schema(table: str) -> pa.Schema:
    fields = [pa.field(name, kind) for name, kind, _, _ in TABLES[table]]
    if table == "events":
        fields.insert(0, pa.field(LOG, pa.string()))
    return pa.schema(fields, {"llm_router_archive": str(VERSION)})


def rows(table: str, records: Sequence[Archived], log: str) -> pa.Table:
    """Records of one table as rows, ordered by id, so that a reader may pass over parts of a file."""
    columns: dict[str, Any] = {LOG: [log] * len(records)} if table == "events" else {}
    for name, kind, _, value in TABLES[table]:
        columns[name] = pa.array([value(record) for record in records], kind)
    return pa.table(columns, schema(table)).sort_by("decision_id")


def usage_of(row: Mapping[str, Any]) -> Usage | None:
    """Of a row of `events`."""
    if row["prompt_tokens"] is None:
        return None
    return Usage(
        **{name: row.get(f"{name}_tokens") or 0 for name in _USAGE}
    )  # older files have no `cache_write_tokens`
