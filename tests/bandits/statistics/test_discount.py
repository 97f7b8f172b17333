"""Evidence fades with the age of its event, and the order of arrival changes nothing."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from router_backend.bandits.batch import Batch
from router_backend.bandits.charges import in_usd
from router_backend.bandits.policies.context_free import ContextFreePolicy
from router_backend.bandits.policies.linear import LinearPolicy
from router_backend.bandits.policy import Policy
from router_backend.bandits.statistics.prior import Prior
from tests.bandits.examples import DAY, NOW, make_context, make_policy, make_query

EVENTS = 40
LEARNERS = ["linucb", "lints", "binary", "ucb1", "thompson", "epsilon_greedy"]


def _statistics(policy: Policy) -> NDArray[np.float64]:
    query = make_query(make_context(np.random.default_rng(99)), costs=(math.nan,) * 3)
    if isinstance(policy, LinearPolicy):
        return np.concatenate([*policy.estimates(query), policy.counts])
    assert isinstance(policy, ContextFreePolicy)
    counts, quality, cost = policy.totals(query)
    return np.concatenate([counts, quality, cost])


@given(
    name=st.sampled_from(LEARNERS),
    per_day=st.sampled_from([1.0, 0.99, 0.7]),
    ages=st.lists(st.floats(0, 20), min_size=EVENTS, max_size=EVENTS),
    order=st.permutations(range(EVENTS)),
    cuts=st.lists(st.integers(0, EVENTS), max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_any_order_and_any_batches_give_the_same_statistics(
    name: str, per_day: float, ages: list[float], order: list[int], cuts: list[int]
) -> None:
    rng = np.random.default_rng(0)
    contexts = np.stack([make_context(rng) for _ in range(EVENTS)])
    arms, quality, cost = rng.integers(0, 3, EVENTS), rng.random(EVENTS), rng.random(EVENTS)
    at = NOW - DAY * np.array(ages)
    one, other = (make_policy(name, discount_per_day=per_day) for _ in range(2))
    for i in range(EVENTS):
        one.update(contexts[i], int(arms[i]), float(quality[i]), float(cost[i]), float(at[i]))
    bounds = [0, *sorted(cuts), EVENTS]
    for start, stop in itertools.pairwise(bounds):
        rows = np.array(order[start:stop], np.intp)
        other.update_many(Batch(contexts[rows], arms[rows], quality[rows], in_usd(cost[rows]), at[rows]))
    np.testing.assert_allclose(_statistics(other), _statistics(one), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", ["ucb1", "linucb"])
def test_weights_are_those_of_the_formula_up_to_the_reference_time(name: str) -> None:
    policy = make_policy(name, discount_per_day=0.9)
    for age in (30, 10, 0):
        policy.update(make_context(np.random.default_rng(0)), 0, 1.0, 0.0, NOW - age * DAY)
    # All weights share one factor, within 2 % of 1: that of the time between the reference and the last event.
    assert policy.counts[0] == pytest.approx(0.9**30 + 0.9**10 + 1, rel=0.021)


@pytest.mark.parametrize("name", LEARNERS)
def test_evidence_so_old_that_nothing_is_left_of_it_does_no_harm(name: str) -> None:
    policy = make_policy(name, discount_per_day=0.5)
    context = make_context(np.random.default_rng(0))
    policy.update(context, 0, 0.5, 0.1, NOW)
    before = _statistics(policy)
    policy.update(context, 0, 1.0, 0.1, NOW - 5000 * DAY)
    policy.update_many(
        Batch(context[None], np.array([0]), np.ones(1), in_usd(np.ones(1)), np.array([NOW - 5000 * DAY]))
    )
    np.testing.assert_array_equal(_statistics(policy), before)


def test_old_evidence_gives_way_and_exploration_comes_back() -> None:
    policy = make_policy("linucb", discount_per_day=0.5)
    context = make_context(np.random.default_rng(0))
    for _ in range(50):
        policy.update(context, 0, 0.9, 0.0, NOW)
        policy.update(context, 1, 0.9, 0.0, NOW)
    before = policy.scores(make_query(context))
    for _ in range(50):
        policy.update(context, 0, 0.1, 0.0, NOW + 20 * DAY)
    after = policy.scores(make_query(context))
    assert after.means[0] < before.means[0] - 0.7
    # Nothing was said of the second arm for twenty days: what was known of it has faded too.
    assert after.bonuses[1] > 5 * before.bonuses[1]


def test_a_prior_does_not_fade() -> None:
    rng = np.random.default_rng(0)
    contexts = np.stack([make_context(rng) for _ in range(500)])
    prior = Prior.fit(["m0"], contexts, np.full((500, 1), 0.8), np.full((500, 1), 1e-3), ridge=1.0)
    for name in ("linucb", "ucb1"):
        policy = make_policy(name, prior=prior, discount_per_day=0.5)
        for at in (NOW, NOW + 100 * DAY):
            policy.update(contexts[0], 1, 0.5, 1e-3, at)
        assert policy.counts[0] == pytest.approx(50)
        assert policy.scores(make_query(contexts[1], costs=(0, 0, 0))).means[0] == pytest.approx(0.8, abs=0.02)
