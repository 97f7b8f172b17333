"""A model that joins starts where its neighbours are."""

from __future__ import annotations

import numpy as np
import pytest

from router_backend.bandits.context import CONTEXT_DIM
from router_backend.bandits.factory import build_policy
from router_backend.bandits.policy import Policy
from router_backend.bandits.statistics.prior import Prior
from router_backend.config.policy import policy_config
from tests.bandits.examples import make_models, make_query

RNG = np.random.default_rng(0)
CONTEXTS = RNG.normal(size=(400, CONTEXT_DIM)).astype(np.float32) / 4
QUALITY = np.column_stack([0.6 + 0.4 * CONTEXTS[:, 0], 0.8 + 0.4 * CONTEXTS[:, 0]])


@pytest.fixture
def policy() -> Policy:
    """Knows m0 and m1, not m2."""
    prior = Prior.fit(["m0", "m1"], CONTEXTS, QUALITY, np.ones((400, 2)), ridge=30.0)
    return build_policy(policy_config({"name": "linucb", "ridge": 30.0}), make_models(1, 1, 1), prior)


def qualities(policy: Policy, context: np.ndarray) -> list[float]:
    return policy.qualities(make_query(context, costs=(1.0, 1.0, 1.0)))


def test_what_is_expected_of_it_is_their_mean(policy: Policy) -> None:
    for context in CONTEXTS[:20]:
        first, second, newcomer = qualities(policy, context)
        assert newcomer == pytest.approx((first + second) / 2, abs=0.01)


def test_a_few_answers_tell_its_level(policy: Policy) -> None:
    for n in range(20):
        policy.update(CONTEXTS[n], 2, 0.1, 1.0, 1.7e9)
    assert np.mean([qualities(policy, context)[2] for context in CONTEXTS]) < 0.2
