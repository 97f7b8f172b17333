"""What every store promises of its log: numbers without gaps, whoever writes at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from router_backend.state.store import Store
from tests.state.examples import make_decision, make_feedback, make_outcome


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
