"""What every store promises of decisions and outcomes: they are there as they were written, until they are over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from router_backend.core.records import Decision, Place, Recorded
from router_backend.state.store import Store, UnknownDecision
from router_backend.state.transfer import export_state, import_state
from tests.state.examples import make_decision, make_feedback, make_outcome

DAY = 86_400.0


def same(left: Decision | None, right: Decision) -> bool:
    assert left is not None
    empty = np.zeros(0, np.float32)
    return np.array_equal(left.context, right.context) and replace(left, context=empty) == replace(right, context=empty)


def test_decisions_and_outcomes_come_back_as_they_were_written(store: Store) -> None:
    decision = make_decision(
        1,
        task_probabilities=(0.25, 0.75),
        shadows=(("ucb1", "small"),),
        scores=(0.1, 0.2, 0.3),
        session="s",
        prompt="p",
    )
    outcome = make_outcome(decision, first_token=0.1, streamed=True)
    store.append([decision], [outcome])
    assert same(store.decision(decision.decision_id), decision)
    assert store.outcome(decision.decision_id) == outcome


def test_writing_an_id_again_changes_nothing(store: Store) -> None:
    decision = make_decision(0)
    store.append([decision], [make_outcome(decision)])
    store.append([replace(decision, model="large")], [make_outcome(decision, served="large")])
    assert same(store.decision(decision.decision_id), decision)
    outcome = store.outcome(decision.decision_id)
    assert outcome is not None
    assert outcome.served == "small"
    assert store.counts() == {"small": {"decisions": 1, "feedback": 0}}


def test_the_latest_decisions_come_back_page_by_page_with_what_became_of_them(store: Store, tmp_path: Path) -> None:
    start = time.time() - 100.0
    # Three have one time, and the groups in which they are written overlap.
    times = [start + at for at in (0, 7, 7, 7, 31, 32, 50, 64, 65)]
    made = [make_decision(at, created=created) for at, created in enumerate(times)]
    store.append(made[::2], [make_outcome(made[2])])
    store.append(made[1::2], [])
    store.append(made[:1], [])  # again
    store.add_feedback(make_feedback(made[2]))
    order = sorted(made, key=lambda decision: (decision.created, decision.decision_id), reverse=True)

    def walk(limit: int) -> list[Recorded]:
        found: list[Recorded] = []
        while True:
            last = found[-1].decision if found else None
            page = store.recent(Place(last.created, last.decision_id) if last else None, limit)
            found += page
            if len(page) < limit:
                return found

    for limit in (1, 2, 4, 20):
        assert [each.decision.decision_id for each in walk(limit)] == [each.decision_id for each in order]
    known = {each.decision.decision_id: each for each in walk(4)}
    scored = known[made[2].decision_id]
    assert (scored.outcome, scored.decision.context.size) == (make_outcome(made[2]), 0)
    assert scored.kept is not None
    assert (scored.kept.feedback, scored.kept.arm, scored.kept.quality) == (make_feedback(made[2]), "large", 0.75)
    assert (known[made[3].decision_id].outcome, known[made[3].decision_id].kept) == (None, None)
    assert store.recorded(made[2].decision_id) == scored
    assert store.recorded("unknown") is None
    store.prune(start + 10.0)
    assert len(walk(3)) == 5
    export_state(store.archive(), tmp_path / "copy.jsonl")
    store.archive().clear()
    assert walk(3) == []
    import_state(store.archive(), tmp_path / "copy.jsonl")
    assert [each.decision.decision_id for each in walk(3)] == [each.decision_id for each in order[:5]]


def test_pruning_removes_old_decisions_and_keeps_what_was_learned(store: Store) -> None:
    now = time.time()
    old, young = make_decision(0, created=now - 30 * DAY), make_decision(1)
    store.append([old, young], [make_outcome(old), make_outcome(young)])
    store.add_feedback_many([make_feedback(old), make_feedback(young)])
    assert store.prune(before=now - 7 * DAY) == 1
    assert store.decision(old.decision_id) is None
    assert store.outcome(old.decision_id) is None
    assert store.decision(young.decision_id) is not None
    assert len(store.events(0)) == 2
    assert store.counts()["small"] == {"decisions": 1, "feedback": 1}
    with pytest.raises(UnknownDecision):
        store.add_feedback(make_feedback(old))


def test_everything_is_there_after_reopening(open_replica: Callable[[], Store]) -> None:
    first = open_replica()
    decision = make_decision(0)
    first.append([decision], [make_outcome(decision)])
    first.add_feedback(make_feedback(decision))
    first.close()
    again = open_replica()
    assert same(again.decision(decision.decision_id), decision)
    assert len(again.events(0)) == 1
    assert again.add_feedback(make_feedback(decision)).duplicate
