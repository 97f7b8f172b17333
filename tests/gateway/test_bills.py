"""Real costs reach the router's budget as a ratio to what was expected."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from router_backend.gateway.bills import Asked, Bills
from tests.gateway.conftest import Serve
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream


@pytest.mark.parametrize("late", [0, 10, 200])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_counted_is_what_was_spent_however_late_answers_are(seed: int, late: int) -> None:
    rng, bills = np.random.default_rng(seed), Bills()
    expected = rng.lognormal(-0.125, 0.5, 5000)
    cost = expected * rng.lognormal(-0.3, 0.6, 5000) * np.where(np.arange(5000) < 2500, 1.0, 2.0)
    counted, running = 0.0, deque[tuple[Asked, float, float]]()
    for each, real in zip(expected, cost, strict=True):
        asked = bills.ask()
        counted += asked.ratio * each
        running.append((asked, float(each), float(real)))
        if len(running) > late:
            bills.enter(*running.popleft())
    assert counted == pytest.approx(cost.sum(), rel=0.01)


def test_answers_of_which_nothing_was_expected_are_paid_for() -> None:
    """Of a model without a price nothing is expected; where there is a bill all the same, it counts."""
    rng, bills = np.random.default_rng(0), Bills()
    free = rng.random(5000) < 0.5
    expected, cost = np.where(free, 0.0, 1.0), np.where(free, 0.1, 1.0)
    counted = 0.0
    for each, real in zip(expected, cost, strict=True):
        asked = bills.ask()
        counted += asked.ratio * each
        bills.enter(asked, float(each), float(real))
    assert counted == pytest.approx(cost.sum(), rel=0.01)


def test_a_dear_models_first_bill_is_measured_by_all_answers_so_far() -> None:
    """Not by the cheap ones before it alone, as if it were many of them."""
    bills = Bills()
    for expected, cost in [(0.02, 0.02)] * 3 + [(1.0, 2.0)]:
        bills.enter(bills.ask(), expected, cost)
    assert 1.05 < bills.ratio < 1.3


@pytest.mark.parametrize("late", [0, 30, 300])
def test_a_ratio_that_has_changed_settles(late: int) -> None:
    """What was counted wrongly while nobody could know better is made good once, not by every question that is asked meanwhile."""
    bills, running, ratios = Bills(), deque[Asked](), []
    for number in range(8000):
        running.append(bills.ask())
        ratios.append(running[-1].ratio)
        if len(running) > late:
            bills.enter(running.popleft(), 1.0, 1.0 if number < 1000 else 2.0)
    assert max(ratios) <= 4.0
    assert ratios[-1000:] == pytest.approx([2.0] * 1000, rel=0.02)


@pytest.mark.parametrize(
    ("expected", "cost"),
    [(0.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (float("nan"), 1.0), (1.0, float("nan")), (1.0, float("inf"))],
)
def test_what_is_no_bill_changes_nothing(expected: float, cost: float) -> None:
    bills = Bills()
    bills.enter(bills.ask(), expected, cost)
    assert bills.ratio == 1.0


def test_one_absurd_bill_stays_within_bounds() -> None:
    bills = Bills()
    bills.enter(bills.ask(), 1e-9, 1e9)
    assert bills.ratio == 10.0


async def test_a_budget_hears_what_answers_cost(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    budget = {"name": "linucb", "reward": {"name": "budget", "usd_per_1000": 1.0}}
    gateway = await serve(upstream, second, triton=triton, policy=budget)
    for _ in range(2):
        await gateway.chat()  # 13e-6 USD, of 1e-3 that the scripted decision expects
    first, then = (asked["cost_ratio"] for asked in triton.asked)
    assert first == 1.0
    # By the running ratio, and by what the first answer was counted too high.
    assert then == pytest.approx(1 - (1 - 0.013) / 50 - (1 - 0.013) / 50)


async def test_without_a_budget_nobody_is_told(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton)
    await gateway.chat()
    assert "cost_ratio" not in triton.asked[0]
