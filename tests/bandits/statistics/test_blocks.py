"""Many observations at once are the same ones one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_backend.bandits.costs import OutputLengths
from router_backend.bandits.statistics.change import WINDOW, _ratios, _surely_none
from router_backend.bandits.statistics.ridge import RidgeArms
from router_backend.contract import TASKS
from router_backend.core.observations import Labels

DIM = 24


@pytest.mark.parametrize("weighed", [True, False])
@pytest.mark.parametrize("blocks", [[1], [64], [65, 3], [130, 31], [256, 256], [200] * 30])
def test_blocks_of_a_regression(blocks: list[int], weighed: bool) -> None:
    rng = np.random.default_rng(sum(blocks))
    one, other = RidgeArms(1, DIM, 0.5, 0.4), RidgeArms(1, DIM, 0.5, 0.4)
    for n in blocks:
        xs = rng.normal(size=(n, DIM)) / 4
        xs[:, -1] = 1.0
        qualities, costs = rng.random(n), rng.random(n) / 1000
        weights = rng.random(n) * (rng.random(n) < 0.9) if weighed else np.ones(n)
        expected = [
            one.update(0, x, *values)
            for x, *values in zip(xs, qualities.tolist(), costs.tolist(), weights.tolist(), strict=True)
        ]
        foreseen = other.foreseen(0, xs, qualities, costs, weights)
        other.absorb(0, foreseen)
        np.testing.assert_allclose(foreseen.errors, expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(other.block(0), one.block(0), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(other.sums(0), one.sums(0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(other.cost(0), one.cost(0), rtol=1e-7, atol=1e-12)
    assert other.counts[0] == pytest.approx(one.counts[0])


def test_what_is_foreseen_changes_nothing() -> None:
    arms, rng = RidgeArms(1, DIM, 1.0), np.random.default_rng(0)
    before = arms.block(0).copy()
    arms.foreseen(0, rng.normal(size=(70, DIM)), rng.random(70), rng.random(70), np.ones(70))
    assert np.array_equal(arms.block(0), before)
    assert arms.counts[0] == 0.0


@settings(deadline=None, max_examples=200, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    known=st.integers(0, WINDOW),
    n=st.integers(1, 256),
    shift=st.floats(0.0, 3.0),
    scale=st.floats(0.05, 2.0),
)
def test_the_bound_of_the_change_detector_hides_no_change(
    seed: int, known: int, n: int, shift: float, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    errors = rng.normal(size=known + n) * 0.4
    errors[int(rng.integers(known + n)) :] += shift
    sums = np.concatenate([[0.0], errors.cumsum()])
    limits = np.full(n, scale) + rng.random(n)
    if (_ratios(sums, n) > limits[:, None]).any():
        assert not _surely_none(sums, limits)


def test_the_bound_spares_work_where_nothing_changes() -> None:
    sums = np.concatenate([[0.0], (np.random.default_rng(0).normal(size=WINDOW + 256) * 0.4).cumsum()])
    assert _surely_none(sums, np.full(256, 3.0))


@settings(deadline=None, max_examples=20, derandomize=True)
@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(1, 3000), min_size=1, max_size=4))
def test_lengths_of_answers(seed: int, cuts: list[int]) -> None:
    rng, names = np.random.default_rng(seed), ("a", "b")
    one, other = OutputLengths(names), OutputLengths(names)
    for n in cuts:
        arms, tasks = rng.integers(2, size=n), [(*TASKS[:2], "unheard of")[i] for i in rng.integers(3, size=n)]
        tokens = np.where(rng.random(n) < 0.9, rng.integers(1, 900, n), np.nan)
        for arm, task, length in zip(arms, tasks, tokens, strict=True):
            one.observe(names[arm], task, None if np.isnan(length) else int(length))
        other.observe_many(arms, Labels.of(tasks), tokens)
    np.testing.assert_allclose(other.means, one.means, rtol=1e-9)
