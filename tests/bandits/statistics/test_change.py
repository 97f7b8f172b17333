"""A model that is replaced behind its name is noticed, and its past, the prior's included, gives way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from router_backend.bandits.batch import Batch
from router_backend.bandits.charges import USD, in_usd
from router_backend.bandits.policy import Policy
from router_backend.bandits.statistics.prior import Prior
from router_backend.bandits.statistics.ridge import RidgeArms
from tests.bandits.examples import NOW, make_context, make_models, make_policy, make_query

LEARNERS = ["linucb", "lints", "binary", "ucb1", "thompson", "epsilon_greedy"]
RNG = np.random.default_rng(5)
CONTEXTS = np.stack([make_context(RNG) for _ in range(600)])


def right_or_wrong(rates: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    return (np.random.default_rng(seed).random(rates.shape) < rates).astype(np.float64)


def tell(policy: Policy, arm: int, qualities: NDArray[np.float64], at: float = NOW) -> None:
    n = len(qualities)
    policy.update_many(Batch(CONTEXTS[:n], np.full(n, arm), qualities, in_usd(np.full(n, 1e-3)), at + np.arange(n)))


def expected(policy: Policy, arm: int) -> float:
    return float(np.mean([policy.qualities(make_query(context))[arm] for context in CONTEXTS[:50]]))


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize(("before", "after"), [(0.85, 0.45), (0.3, 0.8)])
def test_another_model_behind_the_name_is_found_once(name: str, before: float, after: float) -> None:
    policy = make_policy(name)
    tell(policy, 0, right_or_wrong(np.repeat([before, after], 200)))
    tell(policy, 1, right_or_wrong(np.full(400, before), seed=1))
    (change,) = policy.changes["m0"]
    assert abs(change.at - (NOW + 200)) < 30
    assert np.sign(change.shift) == np.sign(after - before)
    assert expected(policy, 0) == pytest.approx(after, abs=0.12)
    assert policy.changes["m1"] == ()
    assert policy.counts[0] < 300


@pytest.mark.parametrize("name", LEARNERS)
def test_without_looking_the_past_holds_for_long(name: str) -> None:
    policy = make_policy(name, change={"false_alarm": 0})
    tell(policy, 0, right_or_wrong(np.repeat([0.85, 0.45], 200)))
    assert policy.changes["m0"] == ()
    assert policy.counts[0] == 400
    assert expected(policy, 0) > 0.55


@pytest.mark.parametrize("per_day", [1.0, 0.5, 1e-9])
@pytest.mark.parametrize("name", LEARNERS)
def test_a_batch_finds_what_one_observation_after_the_other_does(name: str, per_day: float) -> None:
    """Errors of a block are computed at once; two changes, three models, late observations and heavy discounts."""
    rng = np.random.default_rng(3)
    arms = rng.integers(0, 3, 600)
    good = np.select([np.arange(600) < 200, np.arange(600) < 400], [0.95, 0.1], 0.9)
    at = NOW + 900.0 * np.arange(600) - rng.exponential(3600.0, 600)
    batch = Batch(CONTEXTS, arms, right_or_wrong(np.where(arms == 0, good, 0.5)), in_usd(rng.random(600)), at)
    together, alone = (make_policy(name, discount_per_day=per_day, change={"false_alarm": 0.3}) for _ in range(2))
    together.update_many(batch)
    for i in range(600):
        alone.update(CONTEXTS[i], int(arms[i]), batch.qualities.item(i), batch.charges.item(i, USD), at.item(i))
    for arm in ("m0", "m1", "m2"):
        found, expected = together.changes[arm], alone.changes[arm]
        assert [change[:2] for change in found] == [change[:2] for change in expected]
    assert together.changes["m0"] or per_day < 0.1
    np.testing.assert_allclose(together.counts, alone.counts, rtol=1e-9)
    query = make_query(CONTEXTS[0])
    np.testing.assert_allclose(together.qualities(query), alone.qualities(query), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["linucb", "ucb1"])
def test_a_prior_that_does_not_hold_is_forgotten(name: str) -> None:
    prior = Prior.fit(["m0"], CONTEXTS, np.full((600, 1), 0.9), np.full((600, 1), 1e-3), ridge=1.0)
    policy = make_policy(name, prior=prior, prior_weight=600)
    assert policy.counts[0] == 600
    tell(policy, 0, right_or_wrong(np.full(100, 0.4)))
    assert len(policy.changes["m0"]) == 1
    assert policy.counts[0] <= 101
    assert expected(policy, 0) == pytest.approx(0.4, abs=0.12)


def test_models_that_stay_the_same_are_seldom_found_changed() -> None:
    """60 models of all qualities, with 600 answers each that depend on the prompt: about the share that was asked for, at most."""
    rng = np.random.default_rng(1)
    found = 0
    for seed in range(20):
        policy = make_policy()
        slope = rng.normal(size=(3, 20))
        rates = np.clip(rng.random((3, 1)) + slope @ CONTEXTS[:, :20].T / 4, 0, 1)
        for arm in range(3):
            tell(policy, arm, right_or_wrong(rates[arm], seed=3 * seed + arm))
        found += sum(map(bool, policy.changes.values()))
    assert found <= 6


@given(cuts=st.lists(st.integers(0, 300), max_size=6), per_day=st.sampled_from([1.0, 0.6]))
@settings(max_examples=8, deadline=None)
def test_replicas_find_the_same_wherever_they_cut_the_log(cuts: list[int], per_day: float) -> None:
    one, other = (make_policy(discount_per_day=per_day) for _ in range(2))
    arms = np.arange(300) % 3
    rates = np.where((np.arange(300) > 150) & (arms == 0), 0.1, 0.9)
    batch = Batch(CONTEXTS[:300], arms, right_or_wrong(rates), in_usd(np.full(300, 1e-3)), NOW + 200.0 * np.arange(300))
    for row in range(300):
        one.update(batch.contexts[row], int(arms[row]), batch.qualities.item(row), 1e-3, batch.at.item(row))
    for start, stop in itertools.pairwise([0, *sorted(cuts), 300]):
        other.update_many(batch.where((np.arange(300) >= start) & (np.arange(300) < stop)))
        other.snapshot()
    assert [len(found) for found in one.changes.values()] == [1, 0, 0]
    assert {name: [change.at for change in found] for name, found in one.changes.items()} == {
        name: [change.at for change in found] for name, found in other.changes.items()
    }
    np.testing.assert_allclose(one.counts, other.counts)
    np.testing.assert_allclose(
        one.qualities(make_query(CONTEXTS[0])), other.qualities(make_query(CONTEXTS[0])), rtol=1e-8
    )


@pytest.mark.parametrize("name", LEARNERS)
def test_a_snapshot_and_a_reload_know_of_a_change(name: str) -> None:
    policy = make_policy(name)
    early = policy.snapshot()
    tell(policy, 0, right_or_wrong(np.repeat([0.9, 0.2], 200)))
    assert early.changes["m0"] == ()
    late = policy.snapshot()
    assert len(late.changes["m0"]) == 1
    query = make_query(CONTEXTS[0])
    before = late.qualities(query)
    models = make_models(1, 2, 3)
    reloaded = make_policy(name, [models[1], models[0]])
    assert reloaded.adopt(policy)
    assert reloaded.changes == {"m1": (), "m0": policy.changes["m0"]}
    assert reloaded.qualities(make_query(CONTEXTS[0], (0, 1), (1.0, 2.0)))[1] == pytest.approx(before[0], rel=1e-5)
    assert not make_policy(name, change={"false_alarm": 0.01}).adopt(policy)
    tell(policy, 0, right_or_wrong(np.full(200, 0.9)))
    assert late.qualities(query) == before
    assert len(late.changes["m0"]) == 1


def test_what_an_arm_was_is_a_weak_prior() -> None:
    """The shape stays, the level moves, and few observations are enough to overrule both."""
    arms = RidgeArms(1, 3, ridge=1e-6)
    xs = np.column_stack([np.random.default_rng(0).normal(size=(500, 2)), np.ones(500)])
    arms.update_many(0, xs, 0.5 + 0.1 * xs[:, 0], 1e-3 * xs[:, 2], np.ones(500))
    arms.restart(0, keep=20, level=True)
    assert arms.counts[0] == pytest.approx(20)
    np.testing.assert_allclose(arms.block(0)[3], [0.1, 0.0, 0.5], atol=1e-6)
    np.testing.assert_allclose(arms.cost(0), [0.0, 0.0, 1e-3], atol=1e-8)
    for x in xs[:180]:
        arms.update(0, x, 0.8, 1e-3)
    assert arms.block(0)[3, 2] == pytest.approx(0.77, abs=0.02)
    arms.restart(0, keep=20, level=False)
    slope = arms.block(0)[3, 0]
    for x in xs[:9]:
        arms.update(0, x, 0.2 + slope * x[0], 1e-3)
    np.testing.assert_allclose(arms.block(0)[3], [slope, 0.0, 0.26], atol=0.02)
