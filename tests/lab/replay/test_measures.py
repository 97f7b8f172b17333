"""Published metrics against values worked out by hand, and invariants of the hull."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_backend.lab.replay.measures import (
    ResampledHulls,
    Run,
    aiq,
    arena_score,
    convex_hull,
    cumulative_regret,
    interval,
    over_routing_rate,
    points_above_hull,
    resample_weights,
    resampled_above_hull,
    resampled_hulls,
    two_model_curve,
)

points = st.lists(
    st.tuples(st.floats(0.001, 10), st.floats(0, 1)), min_size=1, max_size=12, unique_by=lambda point: point[0]
)


@given(points)
def test_the_hull_covers_every_point_and_is_concave(found: list[tuple[float, float]]) -> None:
    cost, quality = np.array(found).T
    hull = convex_hull(cost, quality)
    assert (hull.at(cost) >= quality - 1e-9).all()
    assert (np.diff(hull.quality) > 0).all()
    slopes = np.diff(hull.quality) / np.diff(hull.cost)
    assert (np.diff(slopes) <= 1e-9).all()


@given(points, st.lists(st.floats(0.01, 1), min_size=12, max_size=12))
def test_no_random_mixture_of_single_models_is_above_the_hull(
    found: list[tuple[float, float]], weights: list[float]
) -> None:
    cost, quality = np.array(found).T
    share = np.array(weights[: len(cost)]) / sum(weights[: len(cost)])
    assert points_above_hull(float(share @ quality), float(share @ cost), convex_hull(cost, quality)) <= 1e-6


def test_a_dominated_model_is_no_corner() -> None:
    hull = convex_hull([1, 2, 3, 4], [0.5, 0.4, 0.9, 0.8])
    assert hull.cost.tolist() == [1, 3]
    assert hull.at(2.0) == pytest.approx(0.7)
    assert points_above_hull(0.75, 2.0, hull) == pytest.approx(5.0)


@given(points, st.floats(0, 12))
def test_hulls_evaluated_at_once_are_the_hulls(found: list[tuple[float, float]], at: float) -> None:
    cost, quality = np.array(found).T
    together = ResampledHulls(np.stack([cost, cost + 1]), np.stack([quality, quality])).at(np.array([at, at]))
    alone = [float(convex_hull(cost, quality).at(at)), float(convex_hull(cost + 1, quality).at(at))]
    assert together == pytest.approx(np.array(alone), abs=1e-6)


def test_apgr_of_perfect_blind_and_reversed_rankings() -> None:
    rng = np.random.default_rng(0)
    weak = (rng.random(4000) < 0.5).astype(float)
    strong = np.maximum(weak, rng.random(4000) < 0.6)
    gain = strong - weak
    share = gain.mean()
    # All gain first: PGR rises linearly to 1 at `share`, then stays.
    assert two_model_curve(gain, weak, strong).apgr() == pytest.approx(1 - share / 2, abs=1e-3)
    assert two_model_curve(-gain, weak, strong).apgr() == pytest.approx(share / 2, abs=1e-3)
    assert two_model_curve(rng.random(4000), weak, strong).apgr() == pytest.approx(0.5, abs=0.03)


def test_cpt_is_the_least_share_of_strong_calls_that_recovers_the_gap() -> None:
    weak, strong = np.array([0.0, 0, 0, 1]), np.array([1.0, 1, 1, 1])
    curve = two_model_curve(np.array([4.0, 3, 2, 1]), weak, strong)
    assert curve.cpt(0.5) == pytest.approx(0.5)
    assert curve.cpt(1 / 3) == pytest.approx(0.25)
    assert curve.quality[-1] == pytest.approx(1.0)


outcomes = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.3]), *[st.sampled_from([0.0, 0.1, 1 / 3, 0.7, 1.0])] * 2),
    min_size=1,
    max_size=40,
).filter(lambda rows: sum(strong - weak for _, weak, strong in rows) > 1e-6)


@given(outcomes, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_never_changes_what_two_models_are_judged_by(
    rows: list[tuple[float, float, float]], order: random.Random
) -> None:
    moved = order.sample(rows, len(rows))
    one, other = (two_model_curve(*np.array(found).T) for found in (rows, moved))
    assert other.apgr() == one.apgr()
    assert [other.cpt(target) for target in (0.2, 0.5, 0.8)] == [one.cpt(target) for target in (0.2, 0.5, 0.8)]


@given(outcomes, st.floats(-1e6, 1e6))
def test_a_score_that_tells_nothing_apart_is_random_routing(
    rows: list[tuple[float, float, float]], score: float
) -> None:
    _, weak, strong = np.array(rows).T
    curve = two_model_curve(np.full(len(rows), score), weak, strong)
    assert curve.apgr() == pytest.approx(0.5)
    assert curve.cpt(0.5) == pytest.approx(0.5)
    assert curve.cpt(0.8) == pytest.approx(0.8)


def test_no_threshold_parts_rows_of_equal_scores() -> None:
    """Two scores of two rows each: the good row of each pair can't be called without the other."""
    weak, strong = np.zeros(4), np.array([1.0, 0.0, 1.0, 1.0])
    curve = two_model_curve(np.array([2.0, 2.0, 1.0, 1.0]), weak, strong)
    assert curve.share.tolist() == [0, 0.5, 1]
    assert curve.gap_recovered == pytest.approx(np.array([0, 1 / 3, 1]))
    assert curve.cpt(1 / 6) == pytest.approx(0.25)
    assert curve.cpt(0.5) == pytest.approx(0.625)


def test_arena_score_at_its_ends_and_in_between() -> None:
    assert arena_score(0.7, 0.0044 / 1000) == pytest.approx(1.1 * 0.7 / (0.07 + 1))
    assert arena_score(0.7, 200 / 1000) == 0.0
    # USD 1 per 1,000: C = log2(200) / log2(200 / 0.0044) = 0.494.
    assert arena_score(0.7, 1 / 1000) == pytest.approx(1.1 * 0.7 * 0.49403 / (0.07 + 0.49403), abs=1e-4)


def test_aiq_is_the_mean_height_of_the_hull() -> None:
    assert aiq([0, 1], [0, 1], 0, 1) == pytest.approx(0.5)
    assert aiq([0, 1], [0, 1], 0, 2) == pytest.approx(0.75)


def test_regret_only_grows_and_over_routing_counts_needless_cost() -> None:
    rewards = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert cumulative_regret(np.array([1.0, 0.0, 1.0]), rewards).tolist() == [0, 1, 1]
    cost = np.tile([1.0, 5.0], (3, 1))
    assert over_routing_rate(np.array([1, 1, 0]), rewards, cost) == pytest.approx(1 / 3)


def test_the_interval_holds_the_truth_at_about_its_rate() -> None:
    """Choosing between two models by a coin is on the hull in truth: 0 lies in about 95 % of the intervals."""
    rng, hits, repeats = np.random.default_rng(3), 0, 120
    rows = 300
    for repeat in range(repeats):
        quality = (rng.random((rows, 2)) < [0.4, 0.8]).astype(float)
        cost = rng.uniform(0.5, 1.5, (rows, 2)) * [1.0, 8.0]
        arm = rng.integers(0, 2, rows)
        span = np.arange(rows)
        run = Run(
            span,
            arm,
            quality[span, arm],
            cost[span, arm],
            quality,
            np.ones(quality.shape, bool),
            np.zeros(len(arm), bool),
            span.astype(float),
        )
        weights = resample_weights(rows, seed=repeat, resamples=200)
        hulls = [resampled_hulls(span, quality, cost, weights)]
        low, high = interval(resampled_above_hull([run], hulls, weights))
        hits += low <= 0 <= high
    assert 0.88 <= hits / repeats <= 1.0
