"""Feedback that comes before the outcome, or before the decision itself."""

from __future__ import annotations

import threading
import time

from router_backend.state.ids import new_decision_id
from router_backend.state.in_flight import add_feedback_when_known, is_in_flight
from router_backend.state.records import Feedback, FeedbackResult
from router_backend.state.store import Store, UnknownDecision
from tests.state.examples import make_decision, make_feedback, make_outcome


def test_feedback_waits_for_the_outcome_and_credits_the_arm_that_answered(store: Store) -> None:
    decision = make_decision(0)
    timer = threading.Timer(0.2, lambda: store.append([decision], [make_outcome(decision, served="large")]))
    timer.start()
    (result,) = add_feedback_when_known(store, [make_feedback(decision)], wait_seconds=20)
    timer.join()
    assert isinstance(result, FeedbackResult)
    assert result.arm == "large"


def test_without_an_outcome_the_chosen_arm_is_credited_in_the_end(store: Store) -> None:
    decision = make_decision(0)
    store.append([decision], [])
    (result,) = add_feedback_when_known(store, [make_feedback(decision)], wait_seconds=0.05)
    assert isinstance(result, FeedbackResult)
    assert (result.arm, result.cost) == ("small", 0.001)


def test_a_recent_id_that_never_comes_is_unknown_in_the_end(store: Store) -> None:
    feedback = Feedback(decision_id=new_decision_id(), received=time.time(), score=1.0)
    (result,) = add_feedback_when_known(store, [feedback], wait_seconds=0.05)
    assert isinstance(result, UnknownDecision)


def test_old_and_foreign_ids_do_not_wait(store: Store) -> None:
    for decision_id in (new_decision_id(time.time() - 86_400), "no uuid", "6f0d1d6e-41b1-4d2a-9c0e-1b9f6a5d7c11"):
        assert not is_in_flight(store, Feedback(decision_id=decision_id, received=0.0, score=1.0))
    assert is_in_flight(store, Feedback(decision_id=new_decision_id(), received=0.0, score=1.0))
