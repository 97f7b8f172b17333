"""From runs to the content of `report.json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_backend.lab.replay import baselines
from router_backend.lab.replay.evaluation import Evaluation
from router_backend.lab.replay.measures import (
    Run,
    aiq,
    arena_score,
    convex_hull,
    interval,
    over_routing_rate,
    points_above_hull,
    requests_until,
    resampled_means,
)
from router_backend.lab.replay.reference_points import reference_points
from router_backend.lab.replay.runner import Grid, Replay, Setting, middle
from router_backend.lab.replay.scenarios import JUDGED, PACED, PACED_BY_DAY, UNSCORED
from router_backend.lab.replay.two_models import two_model_report
from router_backend.lab.replay.verdict import verdict

Report = dict[str, Any]
Floats = NDArray[np.float64]
RANDOM = "random_equal_cost"
NEARLY = 0.8
"""Of the share that a newcomer has where it was there from the beginning: it then counts as found."""
FIRST = 300
"""Requests of a run that show its start."""
WINDOW = 1000
"""Requests in which a budget is looked at."""
DAY = 86_400.0
"""Seconds."""
LEARNING = 3000
"""Requests after which it is measured what a policy has learned from a judge; of a shorter run two thirds."""


def seeds(number: int) -> str:
    return "1 seed" if number == 1 else f"{number} seeds"


def summarise(replay: Replay, grid: Grid, runs: dict[Setting, Run]) -> Report:
    """The report of a grid; keys as documented in docs/replay.md."""
    evaluation = Evaluation(replay, grid, runs)
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
        "verdict": verdict(evaluation, head),
        "singles": _singles(evaluation),
        "hull": [
            {"cost": float(cost), "quality": float(quality)}
            for cost, quality in zip(evaluation.hull.cost, evaluation.hull.quality, strict=True)
        ],
        "baselines": reference_points(evaluation, head),
        "policies": {
            policy: [
                _entry(evaluation, policy, lambda_, size)
                for lambda_ in grid.lambdas
                for size in evaluation.sizes(policy)
            ]
            for policy in grid.policies
        },
        "above_hull_mean": {policy: _mean_above_hull(evaluation, policy) for policy in grid.policies},
        "above_hull_first": {policy: _first(evaluation, policy) for policy in grid.policies},
        "aiq": _aiq(evaluation),
        "comparisons": {head: {other: _compare(evaluation, head, other) for other in [*grid.policies[1:], RANDOM]}},
        "scenarios": {
            name: {p: _scenario(evaluation, p, name) for p in grid.policies}
            for name in grid.scenarios
            if name not in (PACED, PACED_BY_DAY)
        },
        "judge": {policy: _judge(evaluation, policy) for policy in grid.policies} if grid.judge else {},
        "budget": {policy: _budget(evaluation, policy) for policy in grid.policies} if grid.budget else {},
        "budget_by_day": {policy: _by_day(evaluation, policy) for policy in grid.policies} if grid.by_day else {},
        **two_model_report(replay, grid),
    }


def _singles(evaluation: Evaluation) -> Report:
    return {
        model: {
            "quality": float(evaluation.single_quality[i]),
            "cost": float(evaluation.single_cost[i]),
            "above_hull": points_above_hull(
                float(evaluation.single_quality[i]), float(evaluation.single_cost[i]), evaluation.hull
            ),
            "arena_score": arena_score(float(evaluation.single_quality[i]), float(evaluation.single_cost[i])),
        }
        for i, model in enumerate(evaluation.data.models)
    }


def _entry(evaluation: Evaluation, policy: str, lambda_: float, size: int) -> Report:
    """One point of a policy, means over seeds."""
    runs, models = evaluation.runs_of(policy, lambda_, size), evaluation.data.models
    point = evaluation.point(runs)
    over = [over_routing_rate(run.arms, run.truth, evaluation.data.cost[run.rows]) for run in runs]
    shares = np.mean([np.bincount(run.arms, minlength=len(models)) / len(run.arms) for run in runs], axis=0)
    return {
        "lambda": lambda_,
        "components": size if evaluation.reads_embedding(policy) else None,
        **point,
        "above_hull_ci95": list(interval(evaluation.resampled(policy, lambda_, size))),
        "regret": float(np.mean([evaluation.regret(run, lambda_)[-1] for run in runs])),
        "over_routing": float(np.mean(over)),
        "arena_score": arena_score(point["quality"], point["cost"]),
        "guarded": float(np.mean([run.guarded.mean() for run in runs])),
        "largest_share": float(shares.max()),
        "shuffled": _shuffled(evaluation, runs),
        "shares": {model: float(share) for model, share in zip(models, shares, strict=True)},
    }


def _shuffled(evaluation: Evaluation, runs: Sequence[Run]) -> Report:
    """The control: the same choices dealt to the queries at random, in expectation. What a policy gains over it, it reads off prompts."""
    data, points = evaluation.data, []
    for run in runs:
        shares = np.bincount(run.arms, minlength=len(data.models)) / len(run.arms)
        quality, cost = data.quality[run.rows].mean(0), data.cost[run.rows].mean(0)
        mixed = float(shares @ quality), float(shares @ cost)
        points.append((*mixed, points_above_hull(*mixed, convex_hull(cost, quality))))
    quality, cost, above = np.mean(points, axis=0)
    return {"quality": float(quality), "cost": float(cost), "above_hull": float(above)}


def _mean_above_hull(evaluation: Evaluation, policy: str) -> Report:
    """The headline: mean over the λ grid, at the most components, with its interval."""
    points = [evaluation.point(runs)["above_hull"] for runs in evaluation.over_lambdas(policy)]
    return {"value": float(np.mean(points)), "ci95": list(interval(evaluation.resampled_mean(policy)))}


def _first(evaluation: Evaluation, policy: str) -> Report:
    """The first requests of a run, against the hull of the same rows; mean over seeds and the λ grid."""
    data, found = evaluation.data, []
    for run in (run for runs in evaluation.over_lambdas(policy) for run in runs):
        rows = run.rows[:FIRST]
        hull = convex_hull(data.cost[rows].mean(0), data.quality[rows].mean(0))
        found.append(points_above_hull(float(run.quality[:FIRST].mean()), float(run.cost[:FIRST].mean()), hull))
    return {"requests": min(FIRST, len(rows)), "value": float(np.mean(found))}


def _aiq(evaluation: Evaluation) -> Report:
    """Over the singles' range of costs, for the singles' hull and for each policy's λ grid."""
    low, high = float(evaluation.hull.cost[0]), float(evaluation.hull.cost[-1])
    if high <= low:
        return {}
    found = {"hull": aiq(evaluation.hull.cost, evaluation.hull.quality, low, high)}
    for policy in evaluation.grid.policies:
        points = [evaluation.point(runs) for runs in evaluation.over_lambdas(policy)]
        # Any policy can be mixed with the cheapest model: that is its curve below its cheapest setting.
        cost = [low, *(point["cost"] for point in points)]
        found[policy] = aiq(cost, [float(evaluation.hull.quality[0]), *(p["quality"] for p in points)], low, high)
    return found


def _compare(evaluation: Evaluation, policy: str, other: str) -> Report:
    """Paired differences over the λ grid: of points above the hull, and of 100 × reward a query.

    Against random choice at the policy's own cost both are 100 × the difference of quality.
    """
    rewards, values = [], []
    for lambda_, ours in zip(evaluation.grid.lambdas, evaluation.over_lambdas(policy), strict=True):
        theirs = None if other == RANDOM else evaluation.runs_of(other, lambda_, evaluation.largest)
        for i, run in enumerate(ours):
            gain = _gain(evaluation, run, theirs[i] if theirs else None, lambda_)
            values.append(gain.mean())
            rewards.append(resampled_means(run.rows, gain[:, None], evaluation.weights)[:, 0])
    reward = _with_interval(100 * float(np.mean(values)), 100 * np.mean(rewards, axis=0))
    if other == RANDOM:
        return {"above_hull": reward, "reward": reward, "wins": reward["ci95"][0] > 0}
    difference = _mean_above_hull(evaluation, policy)["value"] - _mean_above_hull(evaluation, other)["value"]
    above = _with_interval(difference, evaluation.resampled_mean(policy) - evaluation.resampled_mean(other))
    return {"above_hull": above, "reward": reward, "wins": above["ci95"][0] > 0}


def _gain(evaluation: Evaluation, run: Run, other: Run | None, lambda_: float) -> Floats:
    ours, data = run, evaluation.data
    if other is None:
        expected, _ = baselines.random_at_cost(data.quality[ours.rows], data.cost[ours.rows], float(ours.cost.mean()))
        return ours.quality - expected
    theirs = other
    return baselines.rewards(ours.quality - theirs.quality, ours.cost - theirs.cost, lambda_, evaluation.scale)


def _with_interval(value: float, resampled: Floats) -> Report:
    return {"difference": value, "ci95": list(interval(resampled))}


def _scenario(evaluation: Evaluation, policy: str, scenario: str) -> Report:
    """Reward in either half of the run, and what the best single arm would have got in the second; how soon a newcomer is found.

    Means over seeds.
    """
    lambda_, measured = evaluation.middle, []
    stationary = evaluation.runs_of(policy, lambda_, evaluation.largest)
    for run, known in zip(evaluation.runs_of(policy, lambda_, evaluation.largest, scenario), stationary, strict=True):
        every = baselines.rewards(run.truth, evaluation.data.cost[run.rows], lambda_, evaluation.scale)
        got = baselines.rewards(run.quality, run.cost, lambda_, evaluation.scale)
        cut = len(got) // 2
        newcomers = np.flatnonzero(~run.available[0])
        hindsight = float(np.isin(known.arms[cut:], newcomers).mean())
        measured.append(
            {
                "first_half": got[:cut].mean(),
                "second_half": got[cut:].mean(),
                "best_single_second_half": every[cut:].mean(0).max(),
                "regret": evaluation.regret(run, lambda_)[-1],
                "newcomer_share": np.isin(run.arms[cut:], newcomers).mean(),
                "newcomer_hindsight_share": hindsight,
                "newcomer_requests": requests_until(run.arms[cut:], newcomers, NEARLY * hindsight),
            }
        )
    return {name: float(np.mean([found[name] for found in measured])) for name in measured[0]}


def _judge(evaluation: Evaluation, policy: str) -> Report:
    """Reward a query after so many requests, without scores, by a judge's and with all; means over seeds, at the middle λ."""
    lambda_, measured = evaluation.middle, []
    for name in (UNSCORED, JUDGED, "stationary"):
        runs = evaluation.runs_of(policy, lambda_, evaluation.largest, name)
        after = min(LEARNING, 2 * len(runs[0].rows) // 3)
        rewards = [baselines.rewards(run.quality, run.cost, lambda_, evaluation.scale)[after:].mean() for run in runs]
        measured.append(float(np.mean(rewards)))
    without, judged, full = measured
    gain = (judged - without) / (full - without) if full > without else None
    return {"after": after, "unscored": without, "judged": judged, "all": full, "share_of_gain": gain}


def _budget(evaluation: Evaluation, policy: str) -> Report:
    """How far what was spent is off the target, as shares of it: over all requests and in the worst window; the worst of the seeds."""
    target = (evaluation.grid.budget or 0.0) / 1000.0
    runs = evaluation.runs_of(policy, evaluation.middle, evaluation.largest, PACED)
    off, windows, quality = [], [], []
    for run in runs:
        spent = np.concatenate([[0.0], np.cumsum(run.cost)]) / target
        off.append(spent[-1] / len(run.cost) - 1.0)
        wide = min(WINDOW, len(run.cost))
        windows.append(np.abs((spent[wide:] - spent[:-wide]) / wide - 1.0).max())
        half = len(run.quality) // 2
        quality.append([run.quality[:half].mean(), run.quality[half:].mean()])
    first, second = np.mean(quality, axis=0)
    return {
        "usd_per_1000": evaluation.grid.budget,
        "requests": len(runs[0].cost),
        "off": float(max(off, key=abs)),
        "worst_window": float(max(windows)),
        "quality_first_half": float(first),
        "quality_second_half": float(second),
    }


def _by_day(evaluation: Evaluation, policy: str) -> Report:
    """How far what was spent is off what time has brought, as shares of it: over the whole run and in the worst day; the worst of the seeds."""
    usd = evaluation.grid.by_day or 0.0
    runs = evaluation.runs_of(policy, evaluation.middle, evaluation.largest, PACED_BY_DAY)
    off, days = [], []
    for run in runs:
        spent = np.concatenate([[0.0], np.cumsum(run.cost)])
        until = run.times + DAY  # of the days that begin with a request and end within the run
        begun = np.flatnonzero(until <= run.times[-1])
        ended = np.searchsorted(run.times, until[begun], side="right")
        off.append(spent[-1] / (usd * run.times[-1] / DAY) - 1.0)
        days.append(np.abs((spent[ended] - spent[begun]) / usd - 1.0).max() if len(begun) else abs(off[-1]))
    return {
        "usd_per_day": usd,
        "requests": len(runs[0].cost),
        "days": float(np.mean([run.times[-1] / DAY for run in runs])),
        "off": float(max(off, key=abs)),
        "worst_day": float(max(days)),
    }
