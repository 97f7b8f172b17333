"""The decision log out of the archive, in the form of `state export --decisions`: what `evaluate-policy` and `evaluate --from-log` read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from router_backend.archive.reading import Tables, day
from router_backend.core.records import Decision, Feedback, KeptFeedback, Outcome
from router_backend.state.transfer import logged, writing

_TOGETHER = 20_000  # rows, each with its context

_PLAIN = (
    *("decision_id", "kind", "model", "reason", "policy", "policy_version", "experiment", "task", "complexity"),
    *("embedding_space", "propensity", "cost_weight", "session", "prompt"),
)
_LISTS = ("task_probabilities", "candidates", "scores", "expected_cost")

# One row an id: rows may have been written twice.
_ROWS = """
WITH made AS (SELECT DISTINCT ON (decision_id) *, epoch(created) AS made_at FROM decisions
        WHERE decision_id >= $low AND decision_id < $high AND epoch(created) >= $start),
    answered AS (SELECT DISTINCT ON (decision_id) * FROM outcomes WHERE decision_id >= $low AND decision_id < $high),
    scored AS (SELECT DISTINCT ON (decision_id) * FROM feedback WHERE decision_id >= $low AND decision_id < $high)
SELECT made.*, answered.served, answered.status, answered.cost, scored.score, scored.task AS task_label, scored.implicit,
    scored.selected, scored.arm, scored.quality, scored.credited_cost
FROM made LEFT JOIN answered USING (decision_id) LEFT JOIN scored USING (decision_id) ORDER BY made_at
"""


def export_archived_decisions(tables: Tables, path: Path, start: float) -> int:
    """Write the decisions since a Unix time, by time; how many. TransferError if the file can't be written."""
    count = 0
    with writing(path) as file:
        for name in tables.days(day(start)):
            tables.show(name, name)
            for low, high in tables.ranges(name, _TOGETHER):
                for row in tables.query(_ROWS, low=low, high=high, start=start):
                    file.write(logged(_decision(row), _outcome(row), _feedback(row)))
                    count += 1
    return count


def _decision(row: Mapping[str, Any]) -> Decision:
    fields: dict[str, Any] = {name: row[name] for name in _PLAIN}
    fields |= {name: tuple(row[name]) for name in _LISTS}
    fields["tasks"] = tuple(row["tasks"] or ())
    fields["context"] = np.array(row["context"], np.float32)
    fields["shadows"] = tuple((shadow["policy"], shadow["model"]) for shadow in row["shadows"])
    return Decision(**fields, created=row["made_at"])


def _outcome(row: Mapping[str, Any]) -> Outcome | None:
    """What a log tells of it."""
    if row["served"] is None:
        return None
    identity = row["decision_id"]
    return Outcome(decision_id=identity, completed=0.0, served=row["served"], status=row["status"], cost=row["cost"])


def _feedback(row: Mapping[str, Any]) -> KeptFeedback | None:
    if row["score"] is None:
        return None
    said = {name: row[name] for name in ("decision_id", "score", "implicit", "selected")}
    feedback = Feedback(**said, task=row["task_label"], received=0.0)
    return KeptFeedback(feedback, row["arm"], row["quality"], row["credited_cost"])
