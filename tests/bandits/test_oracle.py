"""mabwiser, an independent implementation, agrees with our policies on the same data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mabwiser.mab import MAB, LearningPolicy
from numpy.typing import NDArray

from router_backend.bandits.batch import Batch
from router_backend.bandits.charges import in_usd
from router_backend.bandits.context import CONTEXT_DIM, view, view_indices
from router_backend.bandits.policy import Policy
from tests.bandits.examples import NOW, make_models, make_policy, make_query

ARMS = 3
ROWS = 400


def _data() -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.float64]]:
    rng = np.random.default_rng(11)
    contexts = (rng.normal(size=(ROWS, CONTEXT_DIM)) / 6).astype(np.float32)
    return contexts, rng.integers(0, ARMS, ROWS), rng.integers(0, 2, ROWS).astype(np.float64)


def _ours(name: str, **fields: Any) -> Policy:
    """A policy whose reward is the quality, taught the data: half in a batch, half one by one."""
    policy = make_policy(name, make_models(1, 1, 1), reward={"lambda": 0.0}, initial_quality=0.0, **fields)
    contexts, arms, quality = _data()
    half = ROWS // 2
    zeros, at = np.zeros(ROWS), np.full(ROWS, NOW)
    policy.update_many(Batch(contexts[:half], arms[:half], quality[:half], in_usd(zeros[:half]), at[:half]))
    for i in range(half, ROWS):
        policy.update(contexts[i], int(arms[i]), float(quality[i]), 0.0, NOW)
    return policy


def _theirs(learning: object, contextual: bool) -> MAB:
    contexts, arms, quality = _data()
    mab = MAB(arms=list(range(ARMS)), learning_policy=learning, seed=3)
    if contextual:
        mab.fit(arms, quality, view(contexts, view_indices(32)))
    else:
        mab.fit(arms, quality)
    return mab


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.5])
def test_linucb(alpha: float) -> None:
    policy = _ours("linucb", alpha=alpha, ridge=0.8)
    mab = _theirs(LearningPolicy.LinUCB(alpha=alpha, l2_lambda=0.8), contextual=True)
    fresh = (np.random.default_rng(4).normal(size=(30, CONTEXT_DIM)) / 6).astype(np.float32)
    expected = mab.predict_expectations(view(fresh, view_indices(32)))
    for context, theirs in zip(fresh, expected, strict=True):
        ours = policy.scores(make_query(context)).values
        np.testing.assert_allclose(ours, [theirs[arm] for arm in range(ARMS)], rtol=1e-7)
        # What the hot path reads is single precision.
        np.testing.assert_allclose(policy.snapshot().scores(make_query(context)).values, ours, atol=1e-5)


def test_lints_draws_from_the_same_distribution() -> None:
    policy = _ours("lints", alpha=0.5, ridge=1.0).snapshot()
    mab = _theirs(LearningPolicy.LinTS(alpha=0.5, l2_lambda=1.0), contextual=True)
    context = (np.random.default_rng(4).normal(size=CONTEXT_DIM) / 6).astype(np.float32)
    ours = policy.draw(make_query(context), np.random.default_rng(0), 4000)
    repeated = mab.predict_expectations(np.repeat(view(context, view_indices(32))[None], 4000, axis=0))
    theirs = np.array([[row[arm] for arm in range(ARMS)] for row in repeated])
    spread = ours.std(axis=0)
    np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), atol=5 * spread.max() / np.sqrt(4000))
    np.testing.assert_allclose(spread, theirs.std(axis=0), rtol=0.08)


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_ucb1(alpha: float) -> None:
    expected = _theirs(LearningPolicy.UCB1(alpha=alpha), contextual=False).predict_expectations()
    ours = _ours("ucb1", alpha=alpha).snapshot().scores(make_query()).values
    np.testing.assert_allclose(ours, [expected[arm] for arm in range(ARMS)])


def test_epsilon_greedy() -> None:
    expected = _theirs(LearningPolicy.EpsilonGreedy(epsilon=0.0), contextual=False).predict_expectations()
    ours = _ours("epsilon_greedy").snapshot().scores(make_query()).values
    np.testing.assert_allclose(ours, [expected[arm] for arm in range(ARMS)])


def test_thompson_has_the_same_posterior() -> None:
    mab = _theirs(LearningPolicy.ThompsonSampling(), contextual=False)
    policy = _ours("thompson").snapshot()
    ours = policy.draw(make_query(), np.random.default_rng(0), 20_000)
    for arm in range(ARMS):
        a, b = mab._imp.arm_to_success_count[arm], mab._imp.arm_to_fail_count[arm]
        assert policy.scores(make_query()).means[arm] == pytest.approx(a / (a + b))
        deviation = np.sqrt(a * b / ((a + b) ** 2 * (a + b + 1)))
        assert ours[:, arm].mean() == pytest.approx(a / (a + b), abs=5 * deviation / np.sqrt(20_000))
        assert ours[:, arm].std() == pytest.approx(deviation, rel=0.05)
