"""The latest decisions with what became of them, filtered: out of the store, or out of the archive."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nlargest
from typing import TYPE_CHECKING

from router_backend.core.records import Decision, KeptFeedback, LearningEvent, Outcome, Record

if TYPE_CHECKING:
    from router_backend.archive.reading import Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A filter; what is empty or None lets all through. A reason is wanted by its beginning."""

    start: float  # Unix seconds, of the decision
    limit: int = 20
    key: str = ""
    model: str = ""  # that was chosen
    task: str = ""
    reason: str = ""
    cost_from: float | None = None  # USD
    score_from: float | None = None
    score_to: float | None = None

    def lets(self, row: DecisionRow) -> bool:
        return (
            row.created >= self.start
            and self.key in ("", row.key)
            and self.model in ("", row.model)
            and self.task in ("", row.task)
            and row.reason.startswith(self.reason)
            and (self.cost_from is None or (row.cost is not None and row.cost >= self.cost_from))
            and (self.score_from is None or (row.score is not None and row.score >= self.score_from))
            and (self.score_to is None or (row.score is not None and row.score <= self.score_to))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """A decision, its answer and its score; what isn't known is None."""

    decision_id: str
    created: float
    model: str
    task: str
    reason: str
    policy: str
    propensity: float | None = None
    served: str | None = None
    status: int | None = None
    cost: float | None = None
    latency: float | None = None
    key: str | None = None
    score: float | None = None
    implicit: str | None = None


def of_records(records: Iterable[Record], wanted: Wanted) -> list[DecisionRow]:
    """The latest first. Reads `records` (Archive.records) up to its events."""
    decisions: list[Decision] = []
    outcomes: dict[str, Outcome] = {}
    scores: dict[str, KeptFeedback] = {}
    for record in records:
        match record:
            case Decision() if record.created >= wanted.start:
                decisions.append(record)
            case Outcome() if record.completed >= wanted.start:
                outcomes[record.decision_id] = record
            case KeptFeedback():
                scores[record.feedback.decision_id] = record
            case LearningEvent():
                break
    rows = (_row(made, outcomes.get(made.decision_id), scores.get(made.decision_id)) for made in decisions)
    return nlargest(wanted.limit, filter(wanted.lets, rows), key=lambda row: (row.created, row.decision_id))


def of_archive(tables: Tables, wanted: Wanted) -> list[DecisionRow]:
    """As `of_records`, from the latest day back until there are enough."""
    from router_backend.archive.reading import day

    found: list[DecisionRow] = []
    for name in reversed(tables.days(day(wanted.start))):
        tables.show(name, name)
        for low, high in reversed(list(tables.ranges(name))):
            rows = tables.query(
                _LATEST,
                low=low,
                high=high,
                start=wanted.start,
                key=wanted.key,
                model=wanted.model,
                task=wanted.task,
                reason=wanted.reason,
                cost_from=wanted.cost_from,
                score_from=wanted.score_from,
                score_to=wanted.score_to,
                rows=wanted.limit - len(found),
            )
            found += (DecisionRow(**row) for row in rows)
            if len(found) >= wanted.limit:
                return found
    return found


def _row(decision: Decision, outcome: Outcome | None, kept: KeptFeedback | None) -> DecisionRow:
    return DecisionRow(
        decision_id=decision.decision_id,
        created=decision.created,
        model=decision.model,
        task=decision.task,
        reason=decision.reason,
        policy=decision.policy,
        propensity=decision.propensity,
        served=outcome.served if outcome else None,
        status=outcome.status if outcome else None,
        cost=outcome.cost if outcome else None,
        latency=outcome.latency if outcome else None,
        key=outcome.key if outcome else None,
        score=kept.feedback.score if kept else None,
        implicit=kept.feedback.implicit if kept else None,
    )


# One row an id: rows may have been written twice.
_LATEST = """
WITH rows AS (
    SELECT decision_id, epoch(created) AS created, model, task, reason, policy, propensity FROM decisions
    WHERE decision_id >= $low AND decision_id < $high
    UNION ALL BY NAME SELECT decision_id, served, status, cost, latency, key FROM outcomes
    WHERE decision_id >= $low AND decision_id < $high
    UNION ALL BY NAME SELECT decision_id, score, implicit FROM feedback
    WHERE decision_id >= $low AND decision_id < $high
), decided AS (
    SELECT decision_id, any_value(created) AS created, any_value(model) AS model, any_value(task) AS task,
        any_value(reason) AS reason, any_value(policy) AS policy, any_value(propensity) AS propensity,
        any_value(served) AS served, any_value(status) AS status, any_value(cost) AS cost,
        any_value(latency) AS latency, any_value(key) AS key, any_value(score) AS score, any_value(implicit) AS implicit
    FROM rows GROUP BY decision_id
)
SELECT * FROM decided
WHERE created >= $start AND ($key = '' OR key = $key) AND ($model = '' OR model = $model) AND ($task = '' OR task = $task)
    AND starts_with(reason, $reason) AND ($cost_from::DOUBLE IS NULL OR cost >= $cost_from::DOUBLE)
    AND ($score_from::DOUBLE IS NULL OR score >= $score_from::DOUBLE)
    AND ($score_to::DOUBLE IS NULL OR score <= $score_to::DOUBLE)
ORDER BY created DESC, decision_id DESC LIMIT $rows
"""
