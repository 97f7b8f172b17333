"""What every store promises of implicit signals: the strongest waits, a score takes its place, and it teaches once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from router_backend.state.store import Store
from router_backend.state.transfer import export_state, import_state
from tests.state.examples import make_decision, make_feedback, make_outcome


def test_an_explicit_score_replaces_a_pending_implicit_one(store: Store) -> None:
    decision = make_decision(0)
    store.append([decision], [make_outcome(decision)])
    store.add_feedback(make_feedback(decision, 0.0, implicit="upstream_error"))
    assert store.events(0) == []
    assert store.add_feedback(make_feedback(decision, 0.25, implicit="asked_again")).duplicate
    assert not store.add_feedback(make_feedback(decision, 1.0)).duplicate
    assert store.add_feedback(make_feedback(decision, 0.5)).duplicate
    assert store.settle(decision.created + 1000.0, 0.0) == 0
    assert [event.quality for event in store.events(0)] == [1.0]
    assert store.counts()["small"]["feedback"] == 1


def test_of_pending_scores_the_one_of_the_strongest_evidence_stays(store: Store, tmp_path: Path) -> None:
    decision = make_decision(0)
    store.append([decision], [make_outcome(decision)])
    given = [(0.75, "ended_well"), (0.5, "asked_again"), (0.625, "ended_well"), (0.25, "judge"), (1.0, "truncated")]
    kept = [not store.add_feedback(make_feedback(decision, score, implicit=name)).duplicate for score, name in given]
    assert kept == [True, True, False, True, False]
    # A copy knows as much.
    export_state(store.archive(), tmp_path / "copy.jsonl")
    store.archive().clear()
    import_state(store.archive(), tmp_path / "copy.jsonl")
    assert store.add_feedback(make_feedback(decision, 1.0, implicit="asked_again")).duplicate
    assert not store.add_feedback(make_feedback(decision, 0.0, implicit="empty")).duplicate
    assert store.settle(1e12, 0.0) == 1
    assert [event.quality for event in store.events(0)] == [0.0]
    assert store.add_feedback(make_feedback(decision, 1.0, implicit="upstream_error")).duplicate  # it has taught


def test_a_score_remembers_the_signals_whose_place_it_took(store: Store, tmp_path: Path) -> None:
    decisions = [make_decision(n) for n in range(3)]
    store.append(decisions, [make_outcome(decision, revision="r2") for decision in decisions])
    for score, name in ((0.75, "ended_well"), (0.25, "judge")):
        store.add_feedback_many([make_feedback(decision, score, implicit=name) for decision in decisions[:2]])
    store.add_feedback(make_feedback(decisions[0], 1.0))
    store.add_feedback(make_feedback(decisions[2], 0.5))
    export_state(store.archive(), tmp_path / "copy.jsonl")
    store.archive().clear()
    import_state(store.archive(), tmp_path / "copy.jsonl")
    assert store.settle(1e12, 0.0) == 1
    events = {event.decision_id: event for event in store.events(0)}
    told = [(event.quality, event.source, event.judged) for event in (events[d.decision_id] for d in decisions)]
    assert told == [
        (1.0, "", {"ended_well": 0.75, "judge": 0.25}),
        (0.25, "judge", {"ended_well": 0.75}),
        (0.5, "", {}),
    ]
    assert {event.revision for event in events.values()} == {"r2"}


def test_an_implicit_signal_teaches_once_it_is_settled(open_replica: Callable[[], Store]) -> None:
    store, other = open_replica(), open_replica()
    decision = make_decision(0)
    store.append([decision], [make_outcome(decision)])
    store.add_feedback(make_feedback(decision, 0.0, implicit="truncated"))
    assert store.settle(decision.created, 1e12) == 0
    assert store.settle(decision.created + 1000.0, 0.0) + other.settle(1e12, 0.0) == 1
    (event,) = other.events(0)
    assert (event.quality, event.arm, event.cost) == (0.0, "small", 0.0005)
    late = store.add_feedback(make_feedback(decision, 1.0))
    assert (late.duplicate, late.quality) == (True, 0.0)
    assert len(store.events(0)) == 1
