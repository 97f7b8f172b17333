"""What every store promises."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from router_backend.core.ids import new_decision_id
from router_backend.core.records import Bound, Decision, Feedback, Place, Recorded, StoredResponse, Usage
from router_backend.state.rates import Levels, Use
from router_backend.state.spend import periods
from router_backend.state.store import Store, UnknownDecision
from router_backend.state.transfer import export_state, import_state
from tests.state.examples import make_decision, make_feedback, make_outcome

DAY = 86_400.0


@pytest.fixture(params=["sqlite", "redis", "dynamodb"])
def store_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


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


def test_a_second_feedback_is_answered_with_the_first(store: Store) -> None:
    decision = make_decision(0)
    store.append([decision], [make_outcome(decision)])
    first = store.add_feedback(make_feedback(decision, 1.0))
    second = store.add_feedback(make_feedback(decision, 0.0))
    assert second.duplicate
    assert (second.arm, second.quality, second.cost) == (first.arm, first.quality, first.cost)
    assert len(store.events(0)) == 1
    assert store.counts()["small"]["feedback"] == 1


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


def test_events_are_read_in_pages_without_gaps(store: Store) -> None:
    decisions = [make_decision(number) for number in range(25)]
    store.append(decisions, [make_outcome(decision) for decision in decisions])
    store.add_feedback_many([make_feedback(decision) for decision in decisions])
    pages = [store.events(0, 10), store.events(10, 10), store.events(20, 10), store.events(25, 10)]
    assert [len(page) for page in pages] == [10, 10, 5, 0]
    assert [event.sequence for page in pages for event in page] == list(range(1, 26))


def test_concurrent_writers_in_and_across_stores_number_events_without_gaps(open_replica: Callable[[], Store]) -> None:
    stores = [open_replica(), open_replica()]
    decisions = [make_decision(number) for number in range(200)]
    stores[0].append(decisions, [make_outcome(decision) for decision in decisions])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: stores[n % 2].add_feedback(make_feedback(decisions[n])), range(200)))
    events = stores[1].events(0)
    assert [event.sequence for event in events] == list(range(1, 201))
    assert {event.decision_id for event in events} == {decision.decision_id for decision in decisions}


def test_of_concurrent_feedback_for_one_decision_exactly_one_is_kept(open_replica: Callable[[], Store]) -> None:
    stores = [open_replica(), open_replica()]
    decisions = [make_decision(number) for number in range(50)]
    stores[0].append(decisions, [make_outcome(decision) for decision in decisions])

    def give(number: int) -> bool:
        store, decision = stores[number % 2], decisions[number // 4]
        store.settle(1e12, 1e12)
        implicit = "truncated" if number % 4 == 3 else ""
        return store.add_feedback(make_feedback(decision, 1.0, implicit=implicit)).duplicate

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(give, range(200)))
    stores[0].settle(1e12, 1e12)
    events = stores[1].events(0)
    assert sorted(event.decision_id for event in events) == sorted(decision.decision_id for decision in decisions)
    assert [event.sequence for event in events] == list(range(1, 51))
    assert sum(count["feedback"] for count in stores[0].counts().values()) == 50


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


def test_spending_is_summed_by_key_day_and_month_once_an_outcome(
    store: Store, open_replica: Callable[[], Store]
) -> None:
    first = datetime.now(UTC).replace(day=1, hour=1)
    made = [
        make_outcome(make_decision(number), key=key, cost=cost, completed=(first + timedelta(days=days)).timestamp())
        for number, (key, cost, days) in enumerate(
            [("app", 0.25, 0), ("app", 0.5, 0), ("app", 1.0, 1), ("batch", 2.0, 1), ("", 4.0, 0), ("app", None, 0)]
        )
    ]
    store.append([], made[:3])
    open_replica().append([], [*made[2:], replace(made[0], cost=8.0)])
    days = [(first + timedelta(days=count)).strftime("%Y-%m-%d") for count in (0, 1, 2)]
    month = first.strftime("%Y-%m")

    def spent(kept: Store) -> list[dict[str, float]]:
        return [kept.spend(period) for period in (*days, month)]

    expected = [{"app": 0.75}, {"app": 1.0, "batch": 2.0}, {}, {"app": 1.75, "batch": 2.0}]
    assert spent(store) == expected
    store.prune(time.time() + DAY)  # a budget doesn't end with the outcomes' retention
    assert spent(store) == expected


def test_spending_comes_along_with_an_export(store: Store, tmp_path: Path) -> None:
    outcome = make_outcome(make_decision(), key="app", cost=0.25)
    store.append([], [outcome])
    export_state(store.archive(), tmp_path / "export")
    store.archive().clear()
    month = periods(outcome.completed)[1]
    assert store.spend(month) == {}
    import_state(store.archive(), tmp_path / "export")
    assert store.spend(month) == {"app": 0.25}


def test_spending_of_long_ago_is_removed(store: Store) -> None:
    long_ago = time.time() - 41 * DAY
    store.append([], [make_outcome(make_decision(), key="app", cost=0.25, completed=long_ago)])
    store.prune(0)
    assert [store.spend(period) for period in periods(long_ago)] == [{}, {}]


def make_response(key: str = "app", **changes: Any) -> StoredResponse:
    fields = {
        "response_id": f"resp_{new_decision_id()}",
        "key": key,
        "created": time.time(),
        "body": b'{"a": "\xc3\xa9"}',
    }
    return StoredResponse(**{**fields, **changes})


def test_a_response_comes_back_until_it_is_forgotten(store: Store) -> None:
    kept = make_response()
    store.keep_response(kept)
    store.keep_response(replace(kept, key="other", body=b"{}"))  # the first stays
    assert store.response(kept.response_id) == kept
    assert store.forget_response(kept.response_id)
    assert not store.forget_response(kept.response_id)
    assert store.response(kept.response_id) is None


def test_a_response_may_be_long(store: Store) -> None:
    kept = make_response(body=b'"' + b"\xe6\x97\xa5" * 100_000 + b'"')  # 300 KB: what any store takes
    store.keep_response(kept)
    assert store.response(kept.response_id) == kept


def test_a_key_has_a_bounded_number_of_responses(store: Store) -> None:
    now = time.time()
    made = [make_response(created=now + place, body=b"x" * 100) for place in range(5)]
    other = make_response(key="other", created=now - 1)
    for response in (other, *made[:3]):
        store.keep_response(response, Bound(2, 10_000))
    assert store.forget_response(made[2].response_id)  # what is forgotten counts for nothing
    for response in made[3:]:
        store.keep_response(response, Bound(3, 10_000))
    assert [store.response(each.response_id) is not None for each in made] == [False, True, False, True, True]
    assert store.response(other.response_id) == other
    last = make_response(created=now + 9, body=b"x" * 500)
    store.keep_response(last, Bound(3, 250))  # the latest stays whatever its size
    assert [store.response(each.response_id) is not None for each in (*made, last)] == [False] * 5 + [True]


@pytest.mark.parametrize("archived", [False, True])
def test_responses_go_with_the_decisions_of_their_time(store: Store, archived: bool) -> None:
    old, new = make_response(created=time.time() - 2 * DAY), make_response()
    for response in (old, new):
        store.keep_response(response)
    store.prune(time.time() - DAY, archived)
    assert (store.response(old.response_id), store.response(new.response_id)) == (None, new)


def test_responses_are_in_no_export_and_go_with_a_reset(store: Store, tmp_path: Path) -> None:
    kept = make_response(body=b'{"secret": 1}')
    store.keep_response(kept)
    assert export_state(store.archive(), tmp_path / "copy") == 0
    assert b"secret" not in (tmp_path / "copy").read_bytes()
    assert not store.archive().empty()
    store.archive().clear()
    assert store.response(kept.response_id) is None
    assert store.archive().empty()


def test_rates_are_of_all_gateways_together(open_replica: Callable[[], Store]) -> None:
    first, second = open_replica(), open_replica()
    assert first.draw("one", []) == Levels(1, {})
    levels = first.draw("one", [Use("requests key k", 60, 50.0), Use("tokens", 6_000, 1.5)])
    assert levels.left == pytest.approx({"requests key k": 10, "tokens": 5998.5}, abs=0.2)
    levels = second.draw("two", [Use("requests key k", 60, 30.0)])
    assert levels.gateways == 2
    assert -20 <= levels.left["requests key k"] < 40  # it is refilled with one a second meanwhile
    levels = second.draw("two", [Use("requests key k", 60, -30.0)])
    assert 10 <= levels.left["requests key k"] <= 60
    assert first.draw("one", [Use("requests key k", 5, 0.0)]).left == {"requests key k": 5.0}  # it was lowered
    assert first.draw("one", [Use("other", 7, 0.0)]).left == {"other": 7.0}


def test_rates_are_nothing_that_an_import_would_mix_with(store: Store) -> None:
    store.draw("one", [Use("k", 60, 1.0)])
    assert store.archive().empty()


def test_what_several_draw_at_once_is_counted_once_each(open_replica: Callable[[], Store]) -> None:
    stores = [open_replica() for _ in range(3)]
    slow = 1_000_000  # a minute's, so that what comes meanwhile is known
    began = time.monotonic()

    def draw(index: int) -> None:
        for _ in range(10):
            stores[index].draw(str(index), [Use("k", slow, 1000.0)])

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(draw, range(3)))
    left = stores[0].draw("0", [Use("k", slow, slow)]).left["k"]
    refill = (time.monotonic() - began) * slow / 60
    assert -30_000 <= left <= min(0, -30_000 + refill) + 1e-6
