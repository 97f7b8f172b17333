"""Signals in outcomes and decisions, as scores."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from router_backend.config.signals import ImplicitSignals
from router_backend.core.records import Decision, Outcome
from router_backend.learning.implicit import ImplicitFeedback, Repetitions, signal_of
from router_backend.state.open import open_store
from router_backend.state.store import Store
from tests.state.examples import make_decision, make_feedback, make_outcome


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store("sqlite:///state.db", tmp_path)
    yield opened
    opened.close()


def outcome(decision: Decision, **changes: object) -> Outcome:
    return dataclasses.replace(make_outcome(decision), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "signal"),
    [
        ({"status": 200, "finish_reason": "stop"}, "ended_well"),
        ({"status": 200, "finish_reason": "tool_calls"}, "ended_well"),
        ({"status": 200, "finish_reason": ""}, ""),  # embeddings
        ({"status": 200, "finish_reason": "content_filter"}, ""),
        ({"status": 200, "finish_reason": "length"}, "truncated"),
        ({"status": 503}, "upstream_error"),
        ({"status": 499, "finish_reason": ""}, ""),
        ({"status": 429}, ""),
        ({"status": 502, "fault": "arm"}, "upstream_error"),
        ({"status": 503, "fault": "nobody"}, ""),  # every arm rested
        ({"status": 500, "fault": "router"}, ""),
        ({"status": 502, "finish_reason": "error", "fault": "client"}, ""),
    ],
)
def test_what_an_outcome_says(changes: dict[str, object], signal: str) -> None:
    assert signal_of(outcome(make_decision(0), **changes)) == signal


def test_a_configured_signal_teaches_after_its_grace(store: Store) -> None:
    decision = make_decision(0)
    failed = outcome(decision, status=502, finish_reason="")
    store.append([decision], [failed])
    implicit = ImplicitFeedback(store, ImplicitSignals(upstream_error=0.0))
    implicit.outcome(failed)
    implicit.close()
    assert store.events(0) == []
    store.settle(time.time() + 1, time.time() + 1)
    (event,) = store.events(0)
    assert (event.decision_id, event.quality) == (decision.decision_id, 0.0)


def test_an_explicit_score_wins(store: Store) -> None:
    decision = make_decision(0)
    cut = outcome(decision, finish_reason="length")
    store.append([decision], [cut])
    implicit = ImplicitFeedback(store, ImplicitSignals(truncated=0.2))
    implicit.outcome(cut)
    implicit.close()
    store.add_feedback(make_feedback(decision, score=0.9))
    store.settle(time.time() + 1, time.time() + 1)
    assert [event.quality for event in store.events(0)] == [0.9]


def test_what_is_found_later_takes_the_place_of_an_answer_that_ended_well(store: Store) -> None:
    decision = make_decision(0)
    well = outcome(decision, status=200, finish_reason="stop")
    store.append([decision], [well])
    implicit = ImplicitFeedback(store, ImplicitSignals(ended_well=0.7, invalid_output=0.0))
    implicit.outcome(well)
    implicit.signal(decision.decision_id, "invalid_output")
    implicit.signal(decision.decision_id, "a name of another release")
    implicit.close()
    store.settle(time.time() + 1, time.time() + 1)
    assert [event.quality for event in store.events(0)] == [0.0]


def test_a_signal_without_a_score_teaches_nothing(store: Store) -> None:
    decision = make_decision(0)
    cut = outcome(decision, finish_reason="length")
    store.append([decision], [cut])
    implicit = ImplicitFeedback(store, ImplicitSignals(truncated=None))
    implicit.outcome(cut)
    implicit.close()
    store.settle(time.time() + 1, time.time() + 1)
    assert store.events(0) == []


def test_a_prompt_asked_again_in_its_session_scores_the_answer_before(store: Store) -> None:
    first, second = (dataclasses.replace(make_decision(i), session="s", prompt="p") for i in (0, 1))
    store.append([first, second], [outcome(first), outcome(second)])
    implicit = ImplicitFeedback(store, ImplicitSignals(asked_again=0.1))
    implicit.decision(first)
    implicit.decision(second)
    implicit.close()
    store.settle(time.time() + 1, time.time() + 1)
    assert [(event.decision_id, event.quality) for event in store.events(0)] == [(first.decision_id, 0.1)]


def test_other_prompts_and_other_sessions_are_no_repetition() -> None:
    repetitions = Repetitions(sessions=2)
    made = [make_decision(number) for number in range(7)]

    def seen(number: int, session: str, prompt: str) -> str:
        return repetitions.seen(dataclasses.replace(made[number], session=session, prompt=prompt))

    assert seen(0, "a", "p") == ""
    assert seen(1, "b", "p") == ""
    assert seen(2, "a", "q") == ""
    assert seen(3, "", "q") == ""
    assert seen(4, "a", "q") == made[2].decision_id
    assert seen(5, "c", "p") == ""  # "b", the oldest of three, is forgotten
    assert seen(6, "b", "p") == ""
