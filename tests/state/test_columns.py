"""The log by column: the same observations as event by event, whatever the store."""

from __future__ import annotations

import numpy as np
import pytest

from router_backend.core.observations import Labels, Observations
from router_backend.state.codec import RecordError
from router_backend.state.columns import observations_of
from router_backend.state.store import Store
from tests.state.examples import make_decision, make_feedback, make_outcome


@pytest.fixture(params=["sqlite", "redis", "dynamodb"])
def store_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def told(seen: Observations) -> dict[str, object]:
    def plain(column: object) -> object:
        if isinstance(column, Labels):
            return [column.names[code] for code in column.codes]
        return np.asarray(column).tolist() if isinstance(column, np.ndarray) else column

    return {name: str(plain(getattr(seen, name))) for name in Observations.__dataclass_fields__}


def teach(store: Store, number: int) -> None:
    """Events of all kinds: with and without usage, of several spaces, sources, revisions and lengths of context."""
    decisions = [
        make_decision(n, embedding_space=n % 3, context=np.full(151 - n % 2 * 6, n, np.float32)) for n in range(number)
    ]
    store.append(decisions, [make_outcome(each, revision=f"r{n % 2}") for n, each in enumerate(decisions)])
    for n, decision in enumerate(decisions):
        if n % 5 == 0:
            store.add_feedback(make_feedback(decision, 0.25, implicit="judge"))
        if n % 5 == 1:
            store.add_feedback(make_feedback(decision, 0.25, implicit="judge"))
        if n % 5 != 1:
            store.add_feedback(make_feedback(decision, n % 4 / 4, cost=0.125 if n % 7 == 0 else None))
    store.settle(1e12, 1e12)


def test_columns_hold_what_events_hold(store: Store) -> None:
    teach(store, 40)
    events = store.events(0)
    assert len(events) == 40
    assert any(event.judged for event in events)
    assert told(store.observations(0)) == told(Observations.of(events))


def test_pages_by_column_are_pages_of_events(store: Store) -> None:
    teach(store, 25)
    pages = [store.observations(0, 10), store.observations(10, 10), store.observations(20, 10)]
    assert [page.sequences.tolist() for page in pages] == [
        list(range(1, 11)),
        list(range(11, 21)),
        list(range(21, 26)),
    ]
    assert not len(store.observations(25, 10))


def test_what_is_no_event_is_refused() -> None:
    with pytest.raises(RecordError, match="events of the log"):
        observations_of([1], [b'{"arm": 7}'], [b""])


def test_fields_of_a_later_release_are_passed_over() -> None:
    body = (
        b'{"arm":"small","at":1.5,"embedding_space":7,"task":"math","quality":1,"cost":0.5,"mood":"good","sequence":3}'
    )
    seen = observations_of([9], [body], [np.ones(2, np.float32).tobytes()])
    assert (seen.sequences.tolist(), seen.at.tolist(), seen.qualities.tolist()) == ([9], [1.5], [1.0])
    assert np.isnan(seen.completion_tokens).all()
