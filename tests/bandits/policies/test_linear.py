"""Strong or weak, by the probability that the strong model's answer is the better one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from router_backend.bandits.batch import Batch
from router_backend.bandits.charges import in_usd
from router_backend.bandits.context import CONTEXT_DIM
from router_backend.bandits.policies.linear import win_probability
from router_backend.bandits.policy import Policy
from router_backend.bandits.selection import select
from tests.bandits.examples import NOW, make_policy, make_query

unit = st.floats(0, 1)


@given(strong=unit, weak=unit)
def test_win_probability_is_a_fair_comparison(strong: float, weak: float) -> None:
    win = win_probability(strong, weak)
    assert 0 <= win <= 1
    assert win + win_probability(weak, strong) == pytest.approx(1)
    assert (win > 0.5 + 1e-9) <= (strong > weak)


def _taught(**fields: Any) -> tuple[Policy, NDArray[np.float32]]:
    """Contexts where strong is better where the first component is 1, and equal where it is 0."""
    policy = make_policy("binary", epsilon=0.0, new_share=0.0, **fields)
    contexts = np.zeros((200, CONTEXT_DIM), np.float32)
    contexts[100:, 0] = 1
    quality = {0: np.repeat([0.8, 0.2], 100), 1: np.full(200, 0.5), 2: np.repeat([0.8, 0.9], 100)}
    for arm, values in quality.items():
        policy.update_many(Batch(contexts, np.full(200, arm), values, in_usd(np.zeros(200)), np.full(200, NOW)))
    return policy, contexts


def test_strong_takes_what_weak_cannot_do() -> None:
    policy, contexts = _taught(threshold=0.6)
    rng = np.random.default_rng(0)
    assert select(policy, make_query(contexts[0]), rng).arm == 0
    assert select(policy, make_query(contexts[-1]), rng).arm == 2


def test_the_threshold_trades_quality_for_cost() -> None:
    hard = make_query(_taught()[1][-1])
    rng = np.random.default_rng(0)
    assert select(_taught(threshold=0.99)[0], hard, rng).arm == 0
    assert select(_taught(threshold=0.0)[0], make_query(_taught()[1][0]), rng).arm == 2


def test_others_come_last_and_named_models_are_used() -> None:
    policy, contexts = _taught(threshold=0.6, strong="m1", weak="m2")
    rng = np.random.default_rng(0)
    choice = select(policy, make_query(contexts[-1]), rng)
    assert choice.ranking == (2, 1, 0)
    assert select(policy, make_query(contexts[0], candidates=(0, 1)), rng).arm == 1
