"""Who is credited for a feedback, and with what."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from router_backend.core.records import Decision, Feedback, FeedbackResult, LearningEvent, Outcome

# After which a decision's outcome has been written, or never will be. Longer than `timeouts.total`'s default.
_LATEST_OUTCOME_SECONDS = 900.0


def check_feedback(feedback: Feedback) -> None:
    """Refuse what must never reach a sum.

    Raises:
        ValueError: a score outside [0, 1], or a cost that is negative or not finite.
    """
    if not 0.0 <= feedback.score <= 1.0:  # false for NaN too
        raise ValueError(f"score must lie in [0, 1], not {feedback.score}")
    if feedback.cost is not None and not (math.isfinite(feedback.cost) and feedback.cost >= 0):
        raise ValueError(f"cost_usd must be a finite number of at least 0, not {feedback.cost}")


def credit(decision: Decision, outcome: Outcome | None, feedback: Feedback, duplicate: bool = False) -> FeedbackResult:
    """The arm that answered gets the score; its cost is the feedback's, else the outcome's, else the expected one."""
    arm = outcome.served if outcome is not None else decision.model
    return FeedbackResult(
        decision=decision,
        outcome=outcome,
        arm=arm,
        quality=feedback.score,
        cost=_cost(decision, outcome, feedback, arm),
        duplicate=duplicate,
    )


def in_place_of(feedback: Feedback, before: Feedback | None) -> Feedback:
    """A feedback that takes another one's place: it remembers what the signals before it have said."""
    if before is None or not before.implicit:
        return feedback
    return replace(feedback, judged={**before.judged, before.implicit: before.score, **feedback.judged})


def pending_kind(decision: Decision, outcome: Outcome | None, feedback: Feedback) -> str:
    """Why a feedback waits before it teaches ("": it doesn't).

    "implicit": an explicit score may still come and replace it. "unanswered": the outcome may still come, and say
    that another arm answered. Waiting is done in the log's favour, not the giver's: the feedback itself is durable.
    """
    if not decision.context.size:
        return ""
    if feedback.implicit:
        return "implicit"
    return "unanswered" if outcome is None and time.time() - decision.created < _LATEST_OUTCOME_SECONDS else ""


def learning_event(result: FeedbackResult, feedback: Feedback, sequence: int = 0) -> LearningEvent | None:
    """The observation in a feedback; None without a context (a named model's or a degraded decision's)."""
    decision, outcome = result.decision, result.outcome
    if not decision.context.size:
        return None
    usage = outcome.usage if outcome is not None and outcome.usage_known else None
    return LearningEvent(
        sequence=sequence,
        decision_id=decision.decision_id,
        arm=result.arm,
        at=decision.created,
        embedding_space=decision.embedding_space,
        context=decision.context,
        task=feedback.task or decision.task,
        quality=result.quality,
        cost=result.cost,
        output_tokens=usage.completion if usage is not None else None,
        usage=usage if feedback.cost is None else None,
        source=feedback.implicit,
        judged=feedback.judged,
        revision=outcome.revision if outcome is not None else "",
    )


def _cost(decision: Decision, outcome: Outcome | None, feedback: Feedback, arm: str) -> float:
    if feedback.cost is not None:
        return feedback.cost
    if outcome is not None and outcome.cost is not None:
        return outcome.cost
    return dict(zip(decision.candidates, decision.expected_cost, strict=False)).get(arm, 0.0)
