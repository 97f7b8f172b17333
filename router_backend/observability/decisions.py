"""The latest decisions with what became of them, filtered: out of the store, or out of the archive."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest
from typing import TYPE_CHECKING

from router_backend.core.records import Decision, KeptFeedback, LearningEvent, Outcome, Record, Recorded
from router_backend.state.decision_rows import DecisionRow, Wanted, row_of

if TYPE_CHECKING:
    from router_backend.archive.reading import Tables


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
    rows = (row_of(Recorded(made, outcomes.get(made.decision_id), scores.get(made.decision_id))) for made in decisions)
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
