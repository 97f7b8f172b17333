"""What a replay is judged by. Costs are mean USD a query, qualities are fractions.

Sources: RouteLLM (Ong et al. 2024, https://arxiv.org/abs/2406.18665, section 3.2): PGR, APGR, CPT. RouterBench (Hu et al. 2024,
https://arxiv.org/abs/2403.12031, section 3): the non-decreasing convex hull and AIQ. RouterArena (Lu et al. 2025,
https://arxiv.org/abs/2510.00202): the arena score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Hull:
    """Upper, non-decreasing convex hull of points on the cost–quality plane: what mixing these points at random reaches.

    Between two of its corners, tossing a coin for each query reaches any point; below the cheapest corner there is nothing,
    and money beyond the best one buys nothing.
    """

    cost: Floats  # [corners], ascending
    quality: Floats  # [corners], ascending

    def at(self, cost: ArrayLike) -> Floats:
        """Quality of the hull at a cost (any shape)."""
        return np.interp(np.asarray(cost, np.float64), self.cost, self.quality)


def convex_hull(cost: ArrayLike, quality: ArrayLike) -> Hull:
    """The hull of points [n] (Andrew's monotone chain on the upper side)."""
    corners: list[tuple[float, float]] = []
    points = sorted(zip(np.asarray(cost, float), np.asarray(quality, float), strict=True), key=lambda p: (p[0], -p[1]))
    for point in points:
        if corners and point[1] <= corners[-1][1]:
            continue
        while len(corners) > 1 and _slope(corners[-2], point) >= _slope(corners[-2], corners[-1]):
            corners.pop()
        corners.append(point)
    return Hull(*np.array(corners, np.float64).T)


def _slope(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0])


def points_above_hull(quality: float, cost: float, hull: Hull) -> float:
    """100 × (quality − the hull's quality at the same cost)."""
    return float(100 * (quality - hull.at(cost)))


@dataclass(frozen=True, slots=True)
class Run:
    """What one policy did with the evaluated rows that one seeded order brought online."""

    rows: NDArray[np.intp]  # [online] positions in the evaluated data
    arms: NDArray[np.intp]  # [online]
    quality: Floats  # [online]
    cost: Floats  # [online]
    truth: Floats  # [online, models]: scores as the scenario made them
    available: NDArray[np.bool_]  # [online, models]
    guarded: NDArray[np.bool_]  # [online]: the guard took its reference in place of the policy's own pick
    times: Floats  # [online] seconds at which the queries came


def resample_weights(rows: int, seed: int, resamples: int = RESAMPLES) -> NDArray[np.float32]:
    """[resamples, rows]: how often each row is drawn (Efron's bootstrap). Used for all policies, so that intervals are paired."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(rows, np.full(rows, 1 / rows), size=resamples).astype(np.float32)


def resampled_means(rows: NDArray[np.intp], values: Floats, weights: NDArray[np.float32]) -> Floats:
    """[resamples, columns]: weighted means of `values` [online, columns], which belong to `rows` of the resampled data."""
    drawn = weights[:, rows]
    means: Floats = (drawn @ values.astype(np.float32)).astype(np.float64) / drawn.sum(1, dtype=np.float64)[:, None]
    return means


def interval(values: Floats) -> tuple[float, float]:
    """95 % percentile interval of resampled values."""
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


class ResampledHulls:
    """The hull of the single models in every resample, evaluated at once.

    A concave curve is the lowest of its segments' lines, so a row of lines stands for a hull.
    """

    def __init__(self, cost: Floats, quality: Floats) -> None:
        """cost, quality: [resamples, models], resampled means."""
        resamples, models = cost.shape
        self._slope, self._level = np.zeros((resamples, models)), np.empty((resamples, models))
        self._ends = np.empty((resamples, 2))
        for i in range(resamples):
            hull = convex_hull(cost[i], quality[i])
            slopes = np.diff(hull.quality) / np.diff(hull.cost)
            self._slope[i, : len(slopes)] = slopes
            self._level[i] = hull.quality[-1]  # the flat line on the right
            self._level[i, : len(slopes)] = hull.quality[:-1] - slopes * hull.cost[:-1]
            self._ends[i] = hull.cost[0], hull.cost[-1]

    def at(self, cost: Floats) -> Floats:
        """[resamples]: each hull's height at its own cost."""
        inside = np.clip(cost, self._ends[:, 0], self._ends[:, 1])
        return np.asarray((self._slope * inside[:, None] + self._level).min(axis=1))


def resampled_hulls(
    rows: NDArray[np.intp], single_quality: Floats, single_cost: Floats, weights: NDArray[np.float32]
) -> ResampledHulls:
    """Hulls of resampled online rows; `single_quality`, `single_cost`: [rows, models] of the evaluated data."""
    models = single_quality.shape[1]
    means = resampled_means(rows, np.column_stack([single_cost[rows], single_quality[rows]]), weights)
    return ResampledHulls(means[:, :models], means[:, models:])


def resampled_above_hull(runs: Sequence[Run], hulls: Sequence[ResampledHulls], weights: NDArray[np.float32]) -> Floats:
    """[resamples]: points above the hull, mean over runs; one resample of queries moves a run and its hull alike."""
    total = np.zeros(len(weights))
    for run, hull in zip(runs, hulls, strict=True):
        means = resampled_means(run.rows, np.column_stack([run.quality, run.cost]), weights)
        total += 100 * (means[:, 0] - hull.at(means[:, 1]))
    return total / len(runs)


def cumulative_regret(reward: Floats, rewards: Floats) -> Floats:
    """[rows]: running sum of (best arm's reward on each query − reward got); `rewards` is [rows, arms]."""
    return np.cumsum(rewards.max(axis=1) - reward)


def requests_until(arms: NDArray[np.intp], newcomers: NDArray[np.intp], share: float, window: int = 100) -> int:
    """Requests after which the latest `window` have sent at least this share to the newcomers; all of them, if that never is."""
    sums = np.concatenate([[0], np.isin(arms, newcomers).cumsum()])
    reached = np.flatnonzero(sums[window:] - sums[:-window] >= share * window)
    return int(reached[0]) + window if len(reached) else len(arms)


def over_routing_rate(choice: NDArray[np.intp], quality: Floats, cost: Floats) -> float:
    """Share of queries sent to an arm though a cheaper one (mean cost) scored at least as well on that query."""
    mean_cost, rows = cost.mean(axis=0), np.arange(len(choice))
    cheaper = mean_cost[None, :] < mean_cost[choice][:, None]
    as_good = quality >= quality[rows, choice][:, None]
    return float((cheaper & as_good).any(axis=1).mean())


@dataclass(frozen=True, slots=True)
class TwoModelCurve:
    """Quality against the share of calls to the strong model, as a threshold on a router's score sweeps (RouteLLM).

    A threshold can't part rows of equal scores, so there is a point after each distinct score. Between two points the curve is
    a line: what a coin among the rows of equal scores gets on average.
    """

    share: Floats  # [distinct scores + 1], 0 … 1
    quality: Floats  # [distinct scores + 1]
    rows: NDArray[np.int64]  # [distinct scores]: rows of each score, the highest score first

    @property
    def gap_recovered(self) -> Floats:
        """PGR at each share: (quality − weak) / (strong − weak), RouteLLM equation 3."""
        return np.asarray((self.quality - self.quality[0]) / (self.quality[-1] - self.quality[0]))

    def apgr(self) -> float:
        """Average PGR: the area under PGR over the share of strong calls, RouteLLM equation 4. Random routing: 0.5."""
        return float(np.trapz(self.gap_recovered, self.share))

    def cpt(self, target: float) -> float:
        """Call-performance threshold: the least share of strong calls that recovers `target` of the gap (CPT(x %)).

        A row alone with its score is called whole; among rows of equal scores a coin calls any share of them, as it does
        where one score is all that there is.
        """
        recovered = self.gap_recovered
        reached = int(np.flatnonzero(recovered >= target)[0])
        if reached == 0 or (self.rows[reached - 1] == 1 and len(self.rows) > 1):
            return float(self.share[reached])
        ends = slice(reached - 1, reached + 1)
        return float(np.interp(target, recovered[ends], self.share[ends]))


def two_model_curve(score: Floats, weak: Floats, strong: Floats) -> TwoModelCurve:
    """The curve of a router that prefers the strong model where `score` [rows] is high; weak, strong: [rows] qualities.

    Neither the order of the rows nor any rounding by it changes the curve.
    """
    order = np.lexsort((strong, weak, -score))
    score, weak, strong = score[order], weak[order], strong[order]
    last = np.flatnonzero(np.append(score[1:] != score[:-1], True))  # of each distinct score
    gained = np.concatenate([[0.0], np.cumsum(strong - weak)[last]]) / len(score)
    ends = np.concatenate([[0], last + 1])
    return TwoModelCurve(ends / len(score), weak.mean() + gained, np.diff(ends))


def aiq(cost: ArrayLike, quality: ArrayLike, low: float, high: float) -> float:
    """Average improvement in quality: the mean height, over costs low..high, of a router's non-decreasing convex hull.

    RouterBench, section 3: AIQ = 1/(c_max − c_min) ∫ R̃ dc. `cost`, `quality`: [settings], the router's points; right of the
    best one the hull is held level, and its left end should be a point at `low`.
    """
    hull = convex_hull(cost, quality)
    inside = hull.cost[(hull.cost > low) & (hull.cost < high)]
    grid = np.concatenate([[low], inside, [high]])
    return float(np.trapz(hull.at(grid), grid) / (high - low))


ARENA_BETA, ARENA_MIN_COST, ARENA_MAX_COST = 0.1, 0.0044, 200.0


def arena_score(quality: float, cost: float) -> float:
    """RouterArena's score: the weighted harmonic mean (β = 0.1) of accuracy and a logarithmic cost score.

    S = (1 + β)·A·C / (β·A + C), C = (log2 c_max − log2 c) / (log2 c_max − log2 c_min), with c in USD per 1,000 queries
    and c_min, c_max RouterArena's 0.0044 and 200.
    """
    per_1000 = float(np.clip(1000 * cost, ARENA_MIN_COST, ARENA_MAX_COST))
    thrift = np.log2(ARENA_MAX_COST / per_1000) / np.log2(ARENA_MAX_COST / ARENA_MIN_COST)
    if quality <= 0 or thrift <= 0:
        return 0.0
    return float((1 + ARENA_BETA) * quality * thrift / (ARENA_BETA * quality + thrift))
