"""Feedback that arrives before its decision's outcome: it waits a little, so that the arm that answered is credited."""

from __future__ import annotations

import time
from collections.abc import Sequence

from router_backend.state.ids import decided_at
from router_backend.state.records import Feedback, FeedbackResult
from router_backend.state.store import Store, UnknownDecision

# An older decision's outcome was written, or never will be. Longer than `timeouts.total`'s default, and clocks differ.
RECENT_SECONDS = 900.0
_POLL_SECONDS = 0.02


def is_in_flight(store: Store, feedback: Feedback, now: float | None = None) -> bool:
    """Whether the decision is so young that its outcome may still come; ids that aren't UUIDv7 never wait."""
    made = decided_at(feedback.decision_id)
    if made is None or abs((time.time() if now is None else now) - made) > RECENT_SECONDS:
        return False
    return store.outcome(feedback.decision_id) is None


def add_feedback_when_known(
    store: Store, feedbacks: Sequence[Feedback], wait_seconds: float = 2.0
) -> list[FeedbackResult | UnknownDecision]:
    """`Store.add_feedback_many`, after waiting for the outcomes of decisions still in flight.

    After `wait_seconds` a decision without outcome is credited to the arm that was chosen, and one that isn't in the
    store is unknown. Blocks up to `wait_seconds`, and not at all when every outcome is there.
    """
    deadline = time.monotonic() + wait_seconds
    waiting = [feedback for feedback in feedbacks if is_in_flight(store, feedback)]
    while waiting and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        waiting = [feedback for feedback in waiting if store.outcome(feedback.decision_id) is None]
    return store.add_feedback_many(feedbacks)
