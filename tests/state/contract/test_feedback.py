"""What every store promises of feedback: it teaches once, credits who answered, and a second one changes nothing."""

from __future__ import annotations

import time

import numpy as np
import pytest

from router_backend.core.ids import new_decision_id
from router_backend.core.records import Feedback, Usage
from router_backend.state.store import Store, UnknownDecision
from tests.state.examples import make_decision, make_feedback, make_outcome

DAY = 86_400.0


def test_feedback_makes_one_event_with_the_decisions_context_and_the_outcomes_cost(store: Store) -> None:
    decision = make_decision(0)
    store.append([decision], [make_outcome(decision)])
    result = store.add_feedback(make_feedback(decision))
    assert (result.arm, result.quality, result.cost, result.duplicate) == ("small", 0.75, 0.0005, False)
    (event,) = store.events(0)
    assert (event.sequence, event.decision_id, event.arm, event.at) == (
        1,
        decision.decision_id,
        "small",
        decision.created,
    )
    assert (event.quality, event.cost, event.output_tokens) == (0.75, 0.0005, 20)
    assert event.usage == Usage(prompt=10, completion=20)
    assert (event.task, event.embedding_space) == ("math", 7)
    assert np.array_equal(event.context, decision.context)
    assert store.counts()["small"] == {"decisions": 1, "feedback": 1}


def test_the_arm_that_answered_is_credited_not_the_one_chosen(store: Store) -> None:
    decision = make_decision(0)
    store.append([decision], [make_outcome(decision, served="large", cost=None)])
    result = store.add_feedback(make_feedback(decision))
    assert (result.arm, result.cost) == ("large", 0.003)  # its expected cost, since the outcome has none
    assert store.events(0)[0].arm == "large"
    assert store.counts() == {"large": {"decisions": 0, "feedback": 1}, "small": {"decisions": 1, "feedback": 0}}


def test_the_givers_cost_and_label_win(store: Store) -> None:
    decision = make_decision(0)
    store.append([decision], [make_outcome(decision)])
    assert store.add_feedback(make_feedback(decision, cost=0.25, task="rewrite")).cost == 0.25
    (event,) = store.events(0)
    assert (event.cost, event.usage, event.output_tokens, event.task) == (0.25, None, 20, "rewrite")


def test_a_second_feedback_is_answered_with_the_first(store: Store) -> None:
    decision = make_decision(0)
    store.append([decision], [make_outcome(decision)])
    first = store.add_feedback(make_feedback(decision, 1.0))
    second = store.add_feedback(make_feedback(decision, 0.0))
    assert second.duplicate
    assert (second.arm, second.quality, second.cost) == (first.arm, first.quality, first.cost)
    assert len(store.events(0)) == 1
    assert store.counts()["small"]["feedback"] == 1


def test_feedback_before_the_outcome_waits_for_it_and_credits_the_arm_that_answered(store: Store) -> None:
    decision = make_decision(0)
    store.append([decision], [])
    assert not store.add_feedback(make_feedback(decision)).duplicate
    assert store.add_feedback(make_feedback(decision, 0.0)).duplicate
    assert store.events(0) == []
    store.append([], [make_outcome(decision, served="large", cost=0.25)])
    assert store.settle(0.0, 1e12) == 1
    (event,) = store.events(0)
    assert (event.arm, event.quality, event.cost) == ("large", 0.75, 0.25)
    late = store.add_feedback(make_feedback(decision))
    assert (late.duplicate, late.arm, late.cost) == (True, "large", 0.25)


def test_without_an_outcome_the_chosen_arm_is_credited_in_the_end(store: Store) -> None:
    young, old = make_decision(0), make_decision(1, created=time.time() - DAY)
    store.append([young, old], [])
    store.add_feedback_many([make_feedback(young), make_feedback(old)])
    assert [event.arm for event in store.events(0)] == ["middle"]  # nothing more is to be expected of the old one
    assert store.settle(0.0, 1e12) == 1
    assert [(event.arm, event.cost) for event in store.events(0)] == [("middle", 0.002), ("small", 0.001)]


def test_an_unknown_decision_fails_only_its_own_feedback_of_a_group(store: Store) -> None:
    decision = make_decision(0)
    store.append([decision], [make_outcome(decision)])
    unknown = Feedback(decision_id=new_decision_id(), received=0.0, score=1.0)
    with pytest.raises(UnknownDecision):
        store.add_feedback(unknown)
    first, second = store.add_feedback_many([unknown, make_feedback(decision)])
    assert isinstance(first, UnknownDecision)
    assert not isinstance(second, UnknownDecision)
    assert len(store.events(0)) == 1


def test_a_named_decision_counts_and_teaches_nothing(store: Store) -> None:
    decision = make_decision(0, kind="named", context=np.zeros(0, np.float32), propensity=None)
    store.append([decision], [make_outcome(decision)])
    assert store.add_feedback(make_feedback(decision)).quality == 0.75
    assert store.add_feedback(make_feedback(decision)).duplicate
    assert store.events(0) == []
    assert store.counts()["small"] == {"decisions": 1, "feedback": 1}


@pytest.mark.parametrize("change", [{"score": 1.5}, {"score": float("nan")}, {"cost": float("inf")}, {"cost": -1.0}])
def test_what_would_spoil_a_sum_is_refused(store: Store, change: dict[str, float]) -> None:
    decision = make_decision(0)
    store.append([decision], [])
    with pytest.raises(ValueError, match=r"score must|cost_usd must"):
        store.add_feedback(make_feedback(decision, **change))
    assert store.events(0) == []
