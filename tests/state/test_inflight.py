"""Feedback for a decision that isn't in the store yet."""

from __future__ import annotations

import threading
import time

import pytest

from router_backend.core.ids import new_decision_id
from router_backend.core.records import Feedback
from router_backend.state.inflight import add_feedback_many_waiting, add_feedback_waiting
from router_backend.state.store import Store, UnknownDecision
from tests.state.examples import make_decision, make_feedback, make_outcome


def test_feedback_waits_for_a_decision_made_just_now(store: Store) -> None:
    decision = make_decision(0)
    timer = threading.Timer(0.2, lambda: store.append([decision], [make_outcome(decision, served="large")]))
    timer.start()
    assert add_feedback_waiting(store, make_feedback(decision), seconds=20).arm == "large"
    timer.join()


def test_of_a_batch_only_the_missing_ones_are_waited_for(store: Store) -> None:
    known, coming = make_decision(0), make_decision(1)
    lost = Feedback(decision_id=new_decision_id(0.0), received=0.0, score=1.0)
    store.append([known], [make_outcome(known)])
    timer = threading.Timer(0.2, lambda: store.append([coming], [make_outcome(coming)]))
    timer.start()
    batch = [make_feedback(coming), make_feedback(known), lost]
    results = add_feedback_many_waiting(store, batch, seconds=20)
    timer.join()
    assert [getattr(result, "arm", None) for result in results] == ["middle", "small", None]
    assert [event.arm for event in store.events(0)] == ["small", "middle"]
    assert store.counts()["small"]["feedback"] == store.counts()["middle"]["feedback"] == 1


def test_a_recent_id_that_never_comes_is_unknown_in_the_end(store: Store) -> None:
    feedback = Feedback(decision_id=new_decision_id(), received=time.time(), score=1.0)
    with pytest.raises(UnknownDecision):
        add_feedback_waiting(store, feedback, seconds=0.05)


OLD_ID, FOREIGN_ID = "00000000-0000-7000-8000-000000000000", "6f0d1d6e-41b1-4d2a-9c0e-1b9f6a5d7c11"


@pytest.mark.parametrize("decision_id", [OLD_ID, "no uuid", FOREIGN_ID])
def test_old_and_foreign_ids_are_unknown_at_once(store: Store, decision_id: str) -> None:
    with pytest.raises(UnknownDecision):
        add_feedback_waiting(store, Feedback(decision_id=decision_id, received=0.0, score=1.0), seconds=1e9)
