"""The baselines on the cost–quality plane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_backend.lab.replay import baselines
from router_backend.lab.replay.evaluation import Evaluation
from router_backend.lab.replay.measures import arena_score, points_above_hull
from router_backend.lab.replay.procedure import Episode

Floats = NDArray[np.float64]
Pair = tuple[Floats, Floats]  # quality and cost of one seed's online rows


def reference_points(evaluation: Evaluation, head: str) -> dict[str, dict[str, float]]:
    """Quality and cost by baseline; those that depend on λ are given at each (`name@λ`), and by name at the middle one.

    `random_equal_cost` costs what the policy `head` costs.
    """
    data = evaluation.data
    right = baselines.cheapest_right(data)
    climbed = baselines.cascade(data, np.argsort(data.cost.mean(0)), 0.5)
    found = {
        "random": _point(evaluation, lambda c: (data.quality[c.online].mean(1), data.cost[c.online].mean(1))),
        "oracle": _point(evaluation, lambda c: _taken(evaluation, c.online, right[c.online])),
        "cascade_perfect_judge": _point(evaluation, lambda c: (climbed[0][c.online], climbed[1][c.online])),
    }
    for lambda_, runs in zip(evaluation.grid.lambdas, evaluation.over_lambdas(head), strict=True):
        target = evaluation.point(runs)["cost"]
        for name, of in _priced(evaluation, lambda_, target).items():
            found[f"{name}@{lambda_:g}"] = _point(evaluation, of)
            if lambda_ == evaluation.middle:
                found[name] = found[f"{name}@{lambda_:g}"]
    return found


def _priced(evaluation: Evaluation, lambda_: float, target: float) -> dict[str, Callable[[Episode], Pair]]:
    data = evaluation.data

    def matched(course: Episode) -> Pair:
        return baselines.random_at_cost(data.quality[course.online], data.cost[course.online], target)

    def table(course: Episode) -> Pair:
        known = baselines.GroupTable(data.rows(course.bootstrap) if len(course.bootstrap) else data.rows(course.online))
        return _taken(evaluation, course.online, known.choose(data.groups[course.online], lambda_, evaluation.scale))

    def oracle(course: Episode) -> Pair:
        return _taken(evaluation, course.online, baselines.oracle(data.rows(course.online), lambda_, evaluation.scale))

    return {"random_equal_cost": matched, "task_lookup": table, "oracle_reward": oracle}


def _taken(evaluation: Evaluation, rows: NDArray[np.intp], arms: NDArray[np.intp]) -> Pair:
    return evaluation.data.quality[rows, arms], evaluation.data.cost[rows, arms]


def _point(evaluation: Evaluation, of: Callable[[Episode], Pair]) -> dict[str, float]:
    pairs: Sequence[Any] = [of(course) for course in evaluation.episodes]
    quality = float(np.mean([q.mean() for q, _ in pairs]))
    cost = float(np.mean([c.mean() for _, c in pairs]))
    above = [points_above_hull(q.mean(), c.mean(), hull) for (q, c), hull in zip(pairs, evaluation.hulls, strict=True)]
    return {
        "quality": quality,
        "cost": cost,
        "above_hull": float(np.mean(above)),
        "arena_score": arena_score(quality, cost),
    }
