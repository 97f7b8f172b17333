"""From runs to the content of `report.json`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_backend.lab.replay import baselines
from router_backend.lab.replay.bookkeeping import Book
from router_backend.lab.replay.measures import (
    aiq,
    arena_score,
    interval,
    over_routing_rate,
    resampled_means,
)
from router_backend.lab.replay.procedure import Run
from router_backend.lab.replay.reference_points import reference_points
from router_backend.lab.replay.runner import Grid, Replay, Setting, middle
from router_backend.lab.replay.two_models import two_model_report

Report = dict[str, Any]
Floats = NDArray[np.float64]
RANDOM = "random_equal_cost"


def summarise(replay: Replay, grid: Grid, runs: dict[Setting, Run]) -> Report:
    """The report of a grid; keys as documented in docs/replay.md."""
    book = Book(replay, grid, runs)
    head = grid.policies[0]
    return {
        "data": {
            "name": replay.data.name,
            "rows": len(replay.data),
            "models": list(replay.data.models),
            "evaluated_rows": len(replay.evaluated),
            "train_rows": int(replay.data.train.sum()),
            "dropped_rows": replay.data.dropped,
            "bootstrap": grid.bootstrap,
            "seeds": grid.seeds,
            "prior": replay.prior is not None,
            "cost_scale_usd": replay.scale,
            "curve_lambda": middle(grid.lambdas),
        },
        "singles": _singles(book),
        "hull": [
            {"cost": float(cost), "quality": float(quality)}
            for cost, quality in zip(book.hull.cost, book.hull.quality, strict=True)
        ],
        "baselines": reference_points(book, head),
        "policies": {
            policy: [_entry(book, policy, lambda_, size) for lambda_ in grid.lambdas for size in book.sizes(policy)]
            for policy in grid.policies
        },
        "above_hull_mean": {policy: _mean_above_hull(book, policy) for policy in grid.policies},
        "aiq": _aiq(book),
        "comparisons": {head: {other: _compare(book, head, other) for other in [*grid.policies[1:], RANDOM]}},
        "scenarios": {name: {p: _scenario(book, p, name) for p in grid.policies} for name in grid.scenarios},
        **two_model_report(replay, grid),
    }


def _singles(book: Book) -> Report:
    return {
        model: {
            "quality": float(book.single_quality[i]),
            "cost": float(book.single_cost[i]),
            "arena_score": arena_score(float(book.single_quality[i]), float(book.single_cost[i])),
        }
        for i, model in enumerate(book.data.models)
    }


def _entry(book: Book, policy: str, lambda_: float, size: int) -> Report:
    """One point of a policy, means over seeds."""
    runs, models = book.played(policy, lambda_, size), book.data.models
    point = book.point([run.played for run in runs])
    over = [over_routing_rate(run.arms, run.truth, book.data.cost[run.played.rows]) for run in runs]
    shares = np.mean([np.bincount(run.arms, minlength=len(models)) / len(run.arms) for run in runs], axis=0)
    return {
        "lambda": lambda_,
        "components": size if book.reads_embedding(policy) else None,
        **point,
        "above_hull_ci95": list(interval(book.resampled(policy, lambda_, size))),
        "regret": float(np.mean([book.regret(run, lambda_)[-1] for run in runs])),
        "over_routing": float(np.mean(over)),
        "arena_score": arena_score(point["quality"], point["cost"]),
        "shares": {model: float(share) for model, share in zip(models, shares, strict=True)},
    }


def _mean_above_hull(book: Book, policy: str) -> Report:
    """The headline: mean over the λ grid, at the most components, with its interval."""
    points = [book.point([r.played for r in runs])["above_hull"] for runs in book.over_lambdas(policy)]
    return {"value": float(np.mean(points)), "ci95": list(interval(book.resampled_mean(policy)))}


def _aiq(book: Book) -> Report:
    """Over the singles' range of costs, for the singles' hull and for each policy's λ grid."""
    low, high = float(book.hull.cost[0]), float(book.hull.cost[-1])
    if high <= low:
        return {}
    found = {"hull": aiq(book.hull.cost, book.hull.quality, low, high)}
    for policy in book.grid.policies:
        points = [book.point([run.played for run in runs]) for runs in book.over_lambdas(policy)]
        # Any policy can be mixed with the cheapest model: that is its curve below its cheapest setting.
        cost = [low, *(point["cost"] for point in points)]
        found[policy] = aiq(cost, [float(book.hull.quality[0]), *(p["quality"] for p in points)], low, high)
    return found


def _compare(book: Book, policy: str, other: str) -> Report:
    """Paired differences over the λ grid: of points above the hull, and of 100 × reward a query.

    Against random choice at the policy's own cost both are 100 × the difference of quality.
    """
    rewards, values = [], []
    for lambda_, ours in zip(book.grid.lambdas, book.over_lambdas(policy), strict=True):
        theirs = None if other == RANDOM else book.played(other, lambda_, book.largest)
        for i, run in enumerate(ours):
            gain = _gain(book, run, theirs[i] if theirs else None, lambda_)
            values.append(gain.mean())
            rewards.append(resampled_means(run.played.rows, gain[:, None], book.weights)[:, 0])
    reward = _with_interval(100 * float(np.mean(values)), 100 * np.mean(rewards, axis=0))
    if other == RANDOM:
        return {"above_hull": reward, "reward": reward, "wins": reward["ci95"][0] > 0}
    difference = _mean_above_hull(book, policy)["value"] - _mean_above_hull(book, other)["value"]
    above = _with_interval(difference, book.resampled_mean(policy) - book.resampled_mean(other))
    return {"above_hull": above, "reward": reward, "wins": above["ci95"][0] > 0}


def _gain(book: Book, run: Run, other: Run | None, lambda_: float) -> Floats:
    ours, data = run.played, book.data
    if other is None:
        expected, _ = baselines.random_at_cost(data.quality[ours.rows], data.cost[ours.rows], float(ours.cost.mean()))
        return ours.quality - expected
    theirs = other.played
    return baselines.rewards(ours.quality - theirs.quality, ours.cost - theirs.cost, lambda_, book.scale)


def _with_interval(value: float, resampled: Floats) -> Report:
    return {"difference": value, "ci95": list(interval(resampled))}


def _scenario(book: Book, policy: str, scenario: str) -> Report:
    """Reward in either half of the run, and what the best single arm would have got in the second; means over seeds."""
    lambda_, measured = book.middle, []
    for run in book.played(policy, lambda_, book.largest, scenario):
        every = baselines.rewards(run.truth, book.data.cost[run.played.rows], lambda_, book.scale)
        got = baselines.rewards(run.played.quality, run.played.cost, lambda_, book.scale)
        cut = len(got) // 2
        newcomers = np.flatnonzero(~run.available[0])
        measured.append(
            {
                "first_half": got[:cut].mean(),
                "second_half": got[cut:].mean(),
                "best_single_second_half": every[cut:].mean(0).max(),
                "regret": book.regret(run, lambda_)[-1],
                "newcomer_share": np.isin(run.arms[cut:], newcomers).mean(),
            }
        )
    return {name: float(np.mean([found[name] for found in measured])) for name in measured[0]}
