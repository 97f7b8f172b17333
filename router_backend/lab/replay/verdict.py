"""Does it pay, in one sentence: the policy beside the single model that is best on these prompts."""

from __future__ import annotations

from typing import Any

import numpy as np

from router_backend.lab.replay.evaluation import Evaluation
from router_backend.lab.replay.measures import interval, resampled_means


def verdict(evaluation: Evaluation, policy: str) -> dict[str, Any]:
    """Of the λ with the highest quality, at the most components: quality and share of the best single model's cost.

    Intervals are paired: both are resampled together. `cost_share` is None where the best single model costs nothing.
    """
    data, grid = evaluation.data, evaluation.grid
    best = max(range(len(data.models)), key=lambda arm: (evaluation.single_quality[arm], -evaluation.single_cost[arm]))
    points = {lambda_: evaluation.runs_of(policy, lambda_, evaluation.largest) for lambda_ in grid.lambdas}
    lambda_ = max(points, key=lambda price: evaluation.point(points[price])["quality"])
    runs, means = points[lambda_], []
    for run in runs:
        columns = [run.quality, run.cost, data.quality[run.rows, best], data.cost[run.rows, best]]
        means.append(resampled_means(run.rows, np.column_stack(columns), evaluation.weights))
    quality, cost, _, single_cost = np.mean(means, axis=0).T
    point, single = evaluation.point(runs), float(evaluation.single_cost[best])
    paid = single > 0 and bool((single_cost > 0).all())
    return {
        "policy": policy,
        "lambda": lambda_,
        "quality": point["quality"],
        "quality_ci95": list(interval(quality)),
        "model": data.models[best],
        "model_quality": float(evaluation.single_quality[best]),
        "cost_share": point["cost"] / single if paid else None,
        "cost_share_ci95": list(interval(cost / single_cost)) if paid else None,
    }


def sentence(found: dict[str, Any]) -> str:
    """The verdict in plain words."""
    low, high = found["quality_ci95"]
    quality = f"{found['policy']} (λ {found['lambda']:g}) answers with a quality of {found['quality']:.1%} ({low:.1%} … {high:.1%})"
    if found["cost_share"] is None:
        return (
            f"{quality}; {found['model']}, the best single model, has {found['model_quality']:.1%} and costs nothing."
        )
    model = f"{found['model']}, the best single model, which has {found['model_quality']:.1%}"
    low, high = found["cost_share_ci95"]
    return f"{quality} for {found['cost_share']:.0%} ({low:.0%} … {high:.0%}) of the cost of {model}."
