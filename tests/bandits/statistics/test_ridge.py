"""Rank-one updates give what solving the normal equations gives, however many there were and in whatever order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from router_backend.bandits.statistics.ridge import REFACTOR, RidgeArms

Array = NDArray[np.float64]


def _rows(rng: np.random.Generator, n: int, dim: int) -> tuple[Array, Array, Array, Array]:
    return rng.normal(size=(n, dim)), rng.random(n), rng.random(n), rng.uniform(0.1, 2.0, n)


def _solved(rows: tuple[Array, Array, Array, Array], ridge: float) -> Array:
    """[dim + 2, dim]: A⁻¹, θ of quality, θ of cost, from the definitions."""
    xs, quality, cost, weights = rows
    inverse = np.linalg.inv(ridge * np.eye(xs.shape[1]) + (xs * weights[:, None]).T @ xs)
    return np.vstack([inverse, (weights * quality) @ xs @ inverse, (weights * cost) @ xs @ inverse])


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 3 * REFACTOR), dim=st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_updates_solve_the_normal_equations(seed: int, n: int, dim: int) -> None:
    rows = _rows(np.random.default_rng(seed), n, dim)
    ridge = RidgeArms(2, dim, 0.7)
    for x, quality, cost, weight in zip(*rows, strict=True):
        ridge.update(1, x, quality, cost, weight)
    np.testing.assert_allclose(ridge.block(1), _solved(rows, 0.7), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(ridge.block(0), _solved(_rows(np.random.default_rng(0), 0, dim), 0.7))
    assert ridge.counts[1] == pytest.approx(rows[3].sum())


@given(seed=st.integers(0, 2**32 - 1), sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_batches_of_any_size_give_what_single_updates_give(seed: int, sizes: list[int]) -> None:
    rng = np.random.default_rng(seed)
    single, batched = RidgeArms(1, 24, 1.0), RidgeArms(1, 24, 1.0)
    for size in sizes:
        rows = _rows(rng, size, 24)
        batched.update_many(0, *rows)
        for x, quality, cost, weight in zip(*rows, strict=True):
            single.update(0, x, quality, cost, weight)
    np.testing.assert_allclose(batched.block(0), single.block(0), rtol=1e-7, atol=1e-10)


def _drift(updates: int, dim: int) -> float:
    """Largest error of a block after many updates of correlated contexts, against the sums solved again."""
    rng = np.random.default_rng(5)
    mixing = rng.normal(size=(dim, dim)) * np.geomspace(1, 1e-3, dim)
    ridge = RidgeArms(1, dim, 1.0)
    total = np.zeros((dim + 2, dim))
    total[:dim] = np.eye(dim)
    for _ in range(updates // 1000):
        xs = rng.normal(size=(1000, dim)) @ mixing
        quality, cost = rng.random(1000), rng.random(1000)
        total += np.column_stack([xs, quality, cost]).T @ xs
        for x, q, c in zip(xs, quality.tolist(), cost.tolist(), strict=True):
            ridge.update(0, x, q, c)
    inverse = np.linalg.inv(total[:dim])
    expected = np.vstack([inverse, total[dim:] @ inverse])
    return float(np.abs(ridge.block(0) - expected).max() / np.abs(expected).max())


def test_rounding_does_not_build_up_over_many_updates() -> None:
    assert _drift(20_000, 6) < 1e-9


@pytest.mark.slow
def test_rounding_does_not_build_up_over_a_million_updates() -> None:
    assert _drift(1_000_000, 6) < 1e-9


def test_published_blocks_never_change_and_only_touched_arms_are_copied() -> None:
    rng = np.random.default_rng(1)
    ridge = RidgeArms(3, 8, 1.0)
    ridge.update(0, rng.normal(size=8), 0.5, 0.1)
    published = ridge.publish()
    before = [block.copy() for block in published]
    for _ in range(2 * REFACTOR):
        ridge.update(1, rng.normal(size=8), 0.9, 0.2)
    for block, copy in zip(published, before, strict=True):
        np.testing.assert_array_equal(block, copy)
    assert ridge.publish()[0] is published[0]
    assert ridge.publish()[1] is not published[1]


def test_a_prior_pulls_estimates_to_its_mean_and_evidence_away_from_it() -> None:
    rng = np.random.default_rng(2)
    mean = rng.normal(size=(2, 4))
    ridge = RidgeArms(1, 4, 1e-9)
    ridge.set_prior(0, 50 * np.eye(4), mean, 50)
    np.testing.assert_allclose(ridge.block(0)[4:], mean, rtol=1e-6)
    truth = rng.normal(size=4)
    xs = rng.normal(size=(20_000, 4))
    ridge.update_many(0, xs, xs @ truth, xs @ truth, np.ones(len(xs)))
    np.testing.assert_allclose(ridge.block(0)[4], truth, atol=0.01)


def test_decay_scales_the_evidence_and_leaves_the_prior() -> None:
    rng = np.random.default_rng(3)
    rows = _rows(rng, 30, 5)
    ridge, expected = RidgeArms(1, 5, 1.0), RidgeArms(1, 5, 1.0)
    for arms in (ridge, expected):
        arms.set_prior(0, 3 * np.eye(5), np.ones((2, 5)), 3)
    ridge.update_many(0, *rows)
    ridge.decay(0.25)
    expected.update_many(0, *rows[:3], rows[3] * 0.25)
    np.testing.assert_allclose(ridge.block(0), expected.block(0), rtol=1e-9)
    assert ridge.counts[0] == pytest.approx(expected.counts[0])


def test_costs_by_column_are_those_of_their_sum_at_the_arms_rates() -> None:
    """Whatever way observations come in, and after an arm has begun again."""
    rng = np.random.default_rng(3)
    rates = np.array([[1.0, -2e-6, 8e-6], [1.0, -1e-6, 4e-6]])
    columns, dollars = RidgeArms(2, 6, 1.0, rates=rates), RidgeArms(2, 6, 1.0)
    for arm in (0, 1):
        xs = np.column_stack([rng.normal(size=(80, 5)), np.ones(80)])
        quality, weights = rng.random(80), rng.uniform(0.5, 2.0, 80)
        costs = np.column_stack([rng.random(80) / 100, rng.integers(1, 900, (80, 2))])
        for ridge, seen in ((columns, costs), (dollars, costs @ rates[arm])):
            for row in range(3):
                ridge.update(arm, xs[row], quality[row], seen[row], weights[row])
            rows = (xs[3:40], quality[3:40], seen[3:40], weights[3:40])
            ridge.absorb(arm, ridge.foreseen(arm, *rows))
            ridge.decay(0.9)
            if arm == 1:
                ridge.restart(arm, keep=10.0, level=True)
            ridge.update_many(arm, xs[40:], quality[40:], seen[40:], weights[40:])
    for one, other in zip(columns.publish(), dollars.publish(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-8)
