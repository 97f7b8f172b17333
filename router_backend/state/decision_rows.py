"""Decisions as people look through them: one row each, with its answer and its score, filtered."""

from __future__ import annotations

from dataclasses import dataclass

from router_backend.core.records import Recorded


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


def row_of(recorded: Recorded) -> DecisionRow:
    decision, outcome, kept = recorded
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
