"""Scores that nobody gave: signals in outcomes, answers and decisions, mapped to scores by `implicit` in `router.yaml`.

A signal whose score isn't configured teaches nothing. While a score is pending (`implicit.grace_seconds`), the store lets one
of higher precedence take its place: `core.signals` has the order, and what somebody says beats all.
"""

from __future__ import annotations

import logging
import queue
import time
from collections import OrderedDict

from router_backend.config.signals import ImplicitSignals
from router_backend.core.background import kept_thread
from router_backend.core.records import Decision, Feedback, Outcome
from router_backend.state.inflight import add_feedback_waiting
from router_backend.state.store import Store, StoreError, UnknownDecision

log = logging.getLogger(__name__)
_SESSIONS = 10_000  # of which the last prompt is remembered
_BACKLOG = 10_000
_CLIENT_LEFT = 499
_UNFINISHED = ("", "length", "content_filter", "error")


def signal_of(outcome: Outcome) -> str:
    """The signal in an outcome; none (empty) where the client left, and for a fault that is not the arm's own."""
    if (outcome.status >= 500 or outcome.finish_reason == "error") and outcome.fault in ("", "arm"):
        return "upstream_error"
    if outcome.status < _CLIENT_LEFT and outcome.finish_reason == "length":
        return "truncated"
    return "ended_well" if outcome.status == 200 and outcome.finish_reason not in _UNFINISHED else ""


class Repetitions:
    """Notices a prompt that is asked again in its session, by hashes: the answer before was no help."""

    def __init__(self, sessions: int = _SESSIONS) -> None:
        self._sessions = sessions
        self._last: OrderedDict[str, tuple[str, str]] = OrderedDict()  # session: (prompt, decision id)

    def seen(self, decision: Decision) -> str:
        """The decision before, if it was about the same prompt in the same session; empty otherwise."""
        if not decision.session or not decision.prompt:
            return ""
        prompt, before = self._last.pop(decision.session, ("", ""))
        self._last[decision.session] = (decision.prompt, decision.decision_id)
        if len(self._last) > self._sessions:
            self._last.popitem(last=False)
        return before if prompt == decision.prompt else ""


class ImplicitFeedback:
    """`outcome`, `decision`, `signal` and `add` return at once; a background thread writes. What the store can't take is dropped."""

    def __init__(self, store: Store, signals: ImplicitSignals) -> None:
        self.signals = signals  # replaced on reload
        self._store = store
        self._repetitions = Repetitions()
        self._queue: queue.Queue[Feedback | None] = queue.Queue(_BACKLOG)
        self._thread = kept_thread("implicit-feedback", self._run)
        self._thread.start()

    def outcome(self, outcome: Outcome) -> None:
        """Give the score of an outcome's signal to its decision."""
        self.signal(outcome.decision_id, signal_of(outcome))

    def decision(self, decision: Decision) -> None:
        """Give the score of `asked_again` to the decision before, if this one repeats its prompt."""
        if self.signals.asked_again is not None:
            self.signal(self._repetitions.seen(decision), "asked_again")

    def signal(self, decision_id: str, signal: str) -> None:
        """Give a signal's score to a decision; either may be empty, which is nothing."""
        score = self.signals.score(signal) if decision_id else None
        if score is not None:
            self.add(Feedback(decision_id=decision_id, received=time.time(), score=score, implicit=signal))

    def add(self, feedback: Feedback) -> None:
        """Give an implicit score that somebody else has found."""
        try:
            self._queue.put_nowait(feedback)
        except queue.Full:
            log.warning("implicit feedback is dropped: the state store is slow or down")

    def close(self, timeout: float = 5.0) -> None:
        """Write what is queued and stop."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while (feedback := self._queue.get()) is not None:
            try:
                add_feedback_waiting(self._store, feedback)
            except UnknownDecision:
                pass  # past its retention, or made while the store was down
            except StoreError as error:
                log.warning("implicit feedback for %s is lost: %s", feedback.decision_id, error)
