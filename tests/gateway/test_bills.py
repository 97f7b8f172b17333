"""Real costs reach the router's budget as a ratio to what was expected."""

from __future__ import annotations

import numpy as np
import pytest

from router_backend.gateway.bills import Bills
from tests.gateway.conftest import Serve
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream


@pytest.mark.parametrize("seed", range(3))
def test_what_is_counted_is_what_was_spent(seed: int) -> None:
    rng, bills = np.random.default_rng(seed), Bills()
    expected = rng.lognormal(-0.125, 0.5, 5000)
    cost = expected * rng.lognormal(-0.3, 0.6, 5000) * np.where(np.arange(5000) < 2500, 1.0, 2.0)
    counted = 0.0
    for each, real in zip(expected, cost, strict=True):
        counted += bills.ratio * each
        bills.enter(float(each), float(real))
    assert counted == pytest.approx(cost.sum(), rel=0.01)


@pytest.mark.parametrize(
    ("expected", "cost"), [(0.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (float("nan"), 1.0), (1.0, float("nan"))]
)
def test_what_is_no_bill_changes_nothing(expected: float, cost: float) -> None:
    bills = Bills()
    bills.enter(expected, cost)
    assert bills.ratio == 1.0


def test_one_absurd_bill_stays_within_bounds() -> None:
    bills = Bills()
    bills.enter(1e-9, 1e9)
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
    assert then == pytest.approx(1 - (1 - 0.013) / 50 - (1 - 0.013) / 100)


async def test_without_a_budget_nobody_is_told(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton)
    await gateway.chat()
    assert "cost_ratio" not in triton.asked[0]
