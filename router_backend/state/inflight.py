"""Feedback for a decision that is still on its way to the store."""

from __future__ import annotations

import time

from router_backend.state.ids import decided_at
from router_backend.state.records import Feedback, FeedbackResult
from router_backend.state.store import Store, UnknownDecision

# Decisions are logged within milliseconds; one older than this that isn't there was never made.
_IN_FLIGHT_SECONDS = 5.0
_POLL_SECONDS = 0.01


def add_feedback_waiting(store: Store, feedback: Feedback, seconds: float = 2.0) -> FeedbackResult:
    """As `Store.add_feedback`, but an id that was made just now is waited for, up to `seconds`.

    Raises:
        UnknownDecision, StoreError, ValueError: as `Store.add_feedback`.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return store.add_feedback(feedback)
        except UnknownDecision:
            made = decided_at(feedback.decision_id)
            recent = made is not None and abs(time.time() - made) < _IN_FLIGHT_SECONDS
            if not recent or time.monotonic() >= deadline:
                raise
        time.sleep(_POLL_SECONDS)
