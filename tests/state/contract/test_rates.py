"""What every store promises of rates: all gateways share them, and each draw counts once."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from router_backend.state.rates import Levels, Use
from router_backend.state.store import Store


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
