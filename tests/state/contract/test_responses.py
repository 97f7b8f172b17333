"""What every store promises of stored responses: they come back until they are forgotten, and are in no export."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from router_backend.core.ids import new_decision_id
from router_backend.core.records import Bound, StoredResponse
from router_backend.state.store import Store
from router_backend.state.transfer import export_state

DAY = 86_400.0


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
