"""Feedback for a decision that is still on its way to the store."""

from __future__ import annotations

import time
from collections.abc import Sequence

from router_backend.core.ids import decided_at
from router_backend.core.records import Feedback, FeedbackResult
from router_backend.state.store import Store, UnknownDecision

# Decisions are logged within milliseconds; one older than this that isn't there was never made.
_IN_FLIGHT_SECONDS = 5.0
_POLL_SECONDS = 0.01


def add_feedback_waiting(store: Store, feedback: Feedback, seconds: float = 2.0) -> FeedbackResult:
    """As `Store.add_feedback`, but an id that was made just now is waited for, up to `seconds`.

    Raises:
        UnknownDecision, StoreError, ValueError: as `Store.add_feedback`.
    """
    (result,) = add_feedback_many_waiting(store, [feedback], seconds)
    if isinstance(result, UnknownDecision):
        raise result
    return result


def add_feedback_many_waiting(
    store: Store, feedbacks: Sequence[Feedback], seconds: float = 2.0
) -> list[FeedbackResult | UnknownDecision]:
    """As `Store.add_feedback_many`; those known are written at once, and only ids made just now are waited for."""
    deadline = time.monotonic() + seconds
    results = store.add_feedback_many(feedbacks)
    while missing := [index for index, result in enumerate(results) if _in_flight(result, feedbacks[index])]:
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL_SECONDS)
        arrivals = [index for index in missing if store.decision(feedbacks[index].decision_id) is not None]
        again = store.add_feedback_many([feedbacks[index] for index in arrivals])
        for index, result in zip(arrivals, again, strict=True):
            results[index] = result
    return results


def _in_flight(result: FeedbackResult | UnknownDecision, feedback: Feedback) -> bool:
    decision_time = decided_at(feedback.decision_id) if isinstance(result, UnknownDecision) else None
    return decision_time is not None and abs(time.time() - decision_time) < _IN_FLIGHT_SECONDS
