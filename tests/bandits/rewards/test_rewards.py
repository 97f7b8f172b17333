"""Each reward prefers what it says it prefers, and a budget is met."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_backend.bandits.rewards import Budget, Difference, QualityFloor, Ratio, Reward
from router_backend.bandits.selection import select
from tests.bandits.examples import NOW, make_context, make_policy, make_query

unit = st.floats(0, 1)
money = st.floats(0, 1e-2)
three = st.tuples


def _rewards() -> list[Reward]:
    return [Difference(0.3, 2e-3), Difference(0.3), Ratio(), Budget(1.0, 0.3), QualityFloor(0.7)]


@given(quality=three(unit, unit, unit), costs=three(money, money, money))
def test_sampled_and_realised_rewards_are_those_of_sure_estimates(
    quality: tuple[float, ...], costs: tuple[float, ...]
) -> None:
    for reward in _rewards():
        means, bonuses = reward.score(quality, [0.0] * 3, costs)
        total = np.add(means, bonuses)
        np.testing.assert_allclose(reward.sampled(np.array([quality]), np.array(costs))[0], total, atol=1e-12)
        realised = [reward.realised(q, c, costs) for q, c in zip(quality, costs, strict=True)]
        np.testing.assert_allclose(realised, total, atol=1e-12)
        assert np.isfinite(realised).all()


def test_a_reward_is_told_at_the_price_that_was_in_force_when_the_request_was_sent() -> None:
    for reward in (Difference(0.2), Budget(1.0, 0.3)):
        costs = [1e-4, 5e-3]
        expected = reward.score([0.5, 0.9], [0.0, 0.0], costs)[0][1]
        weight = reward.observe(costs[1], costs)
        for _ in range(50):
            reward.observe(1e-4, [1e-4, 2e-4])
        fresh = type(reward)(*((0.2,) if isinstance(reward, Difference) else (1.0, 0.3)))
        for process in (reward, fresh):
            assert process.realised(0.9, costs[1], costs, weight) == pytest.approx(expected)
        assert reward.realised(0.9, costs[1], costs) != pytest.approx(expected)


def test_difference_prices_cost_by_the_scale() -> None:
    means, bonuses = Difference(0.2, 2e-3).score([0.5, 0.9], [0.1, 0.2], [1e-3, 4e-3])
    assert means == pytest.approx([0.5 - 0.1, 0.9 - 0.4])
    assert bonuses == [0.1, 0.2]


def test_without_a_given_scale_it_is_the_mean_cost_of_the_dearest() -> None:
    reward = Difference(0.2)
    rng = np.random.default_rng(0)
    for costliest in rng.uniform(1e-3, 3e-3, 3000):
        reward.observe(1e-4, [1e-4, costliest])
    assert reward.score([0.0], [0.0], [2e-3])[0][0] == pytest.approx(-0.2, rel=0.05)


def test_ratio_is_quality_per_relative_cost() -> None:
    assert Ratio().score([0.5, 0.9], [0.1, 0.1], [1.0, 3.0]) == (
        [0.5, pytest.approx(0.3)],
        [0.1, pytest.approx(0.1 / 3)],
    )


def test_quality_floor_takes_the_cheapest_that_surely_clears_it() -> None:
    def best(quality: list[float], width: list[float]) -> int:
        means, bonuses = QualityFloor(0.7).score(quality, width, [1.0, 2.0, 3.0])
        return int(np.argmax(np.add(means, bonuses)))

    assert best([0.71, 0.8, 0.99], [0.0, 0.0, 0.0]) == 0
    assert best([0.71, 0.8, 0.99], [0.05, 0.05, 0.05]) == 1
    assert best([0.71, 0.8, 0.99], [0.2, 0.2, 0.2]) == 2
    # None clears it: the best bound.
    assert best([0.3, 0.6, 0.5], [0.0, 0.0, 0.0]) == 1


@pytest.mark.parametrize("dollars", [0.6, 1.5, 3.0])
@pytest.mark.parametrize("name", ["linucb", "lints", "thompson"])
def test_a_budget_is_held_within_five_percent(name: str, dollars: float) -> None:
    """Lengths of prompts are heavy-tailed and the mix drifts; the target lies between cheapest ($0.3) and best ($4)."""
    rng = np.random.default_rng(1)
    reward = {"name": "budget", "usd_per_1000": dollars}
    policy = make_policy(name, reward=reward, epsilon=0.02)
    warm_up, n = 1000, 6000
    spent = np.zeros(n)
    for i in range(n):
        context = make_context(rng)
        costs = np.array([0.3e-3, 1e-3, 4e-3]) * rng.lognormal(-0.32, 0.8)
        choice = select(policy, make_query(context, costs=costs), rng)
        hard = context[0] + (0.1 if i > n / 2 else 0.0) > 0
        good = rng.random() < ([0.3, 0.5, 0.9] if hard else [0.7, 0.8, 0.85])[choice.arm]
        spent[i] = costs[choice.arm]
        if i % 3 == 0:
            policy.update(context, choice.arm, float(good), spent[i], NOW)
    assert 1000 * spent[warm_up:].mean() == pytest.approx(dollars, rel=0.05)


def test_a_budget_that_is_never_reached_buys_quality_only() -> None:
    """With money left the cost weight falls to 0, and not below: spending for its own sake is no aim."""
    reward = Budget(usd_per_1000=100.0, price=0.5)
    for _ in range(1000):
        reward.observe(1e-3, [1e-4, 1e-3])
    assert reward.score([0.6, 0.6], [0.0, 0.0], [1e-4, 1e-3])[0] == [0.6, 0.6]


def test_a_first_short_request_is_no_scale() -> None:
    """One request of a few tokens once made every longer one look a hundred times too dear."""
    reward = Difference(0.2)
    short, usual = [1e-7, 4e-6], [1.6e-5, 2.1e-4]
    reward.observe(short[1], short)
    rewards, _ = reward.score([0.5, 0.5], [0.0, 0.0], usual)
    assert 0.2 < rewards[1] < 0.32
    for _ in range(2000):
        reward.observe(usual[1], usual)
    rewards, _ = reward.score([0.5, 0.5], [0.0, 0.0], usual)
    assert abs(rewards[1] - 0.3) < 0.01
