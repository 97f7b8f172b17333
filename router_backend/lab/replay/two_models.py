"""RouteLLM's view of two models: learn on `train` rows, rank the evaluated ones by how much the strong model is needed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from router_backend.lab.replay.baselines import GroupTable
from router_backend.lab.replay.bootstrap import fit_prior
from router_backend.lab.replay.measures import two_model_curve
from router_backend.lab.replay.policies import Recipe, make
from router_backend.lab.replay.procedure import queries, teach
from router_backend.lab.replay.runner import Grid, Replay

Floats = NDArray[np.float64]
# Sums in another order differ in the last digits: scores that agree in so many decimals are equal.
_DECIMALS = 9


def two_model_report(replay: Replay, grid: Grid) -> dict[str, dict[str, float]]:
    """`apgr`, `cpt50` and `cpt80` by router: the share of strong calls that recovers 50 % or 80 % of the gap.

    Routers are LinUCB's expected gap of quality and the group table's. Where the data has several tasks, `router@task`
    are the figures of one task's rows; what was learned was learned on all. Empty unless there are two models, of
    which the more expensive is the better one, and rows to learn from.
    """
    report: dict[str, dict[str, float]] = {"apgr": {}, "cpt50": {}, "cpt80": {}}
    learned = replay.data.train.any() or len(replay.episode(grid, 0).bootstrap)
    if len(replay.data.models) != 2 or not learned:
        return report
    weak, strong = (int(arm) for arm in np.argsort(replay.data.cost.mean(0)))
    rows, scores = _scores(replay, grid, weak, strong)
    measured = replay.evaluated.rows(rows)
    subsets = {"": np.ones(len(rows), bool)}
    if len(set(measured.tasks)) > 1:
        subsets |= {f"@{task}": measured.tasks == task for task in sorted(set(measured.tasks))}
    for name, score in scores.items():
        for suffix, chosen in subsets.items():
            quality = measured.quality[chosen]
            if quality[:, strong].mean() <= quality[:, weak].mean():
                continue
            curve = two_model_curve(score[chosen], quality[:, weak], quality[:, strong])
            report["apgr"][name + suffix] = curve.apgr()
            report["cpt50"][name + suffix] = curve.cpt(0.5)
            report["cpt80"][name + suffix] = curve.cpt(0.8)
    return report


def _scores(replay: Replay, grid: Grid, weak: int, strong: int) -> tuple[NDArray[np.intp], dict[str, Floats]]:
    """(evaluated rows, scores by router), learned on `train` rows or, without any, on the first seed's bootstrap rows."""
    size = grid.components[-1]
    asked = queries(replay.seen, len(replay.data.models))
    if replay.data.train.any():
        rows = np.arange(len(replay.evaluated))
        known, seen = replay.data.rows(replay.data.train), replay.contexts.rows(replay.data.train)
        prior = replay.prior or fit_prior(replay.data, replay.contexts)
        policy = make(Recipe("linucb", 0.0, size, prior, math.inf), replay.tuning, known, seen, replay.scale)
    else:
        course = replay.episode(grid, 0)
        rows, known, seen = course.online, replay.evaluated.rows(course.bootstrap), replay.seen.rows(course.bootstrap)
        policy = make(Recipe("linucb", 0.0, size), replay.tuning, known, seen, replay.scale)
        teach(policy, asked, known, course.bootstrap)
    means = np.array([policy.scores(asked[row]).means for row in rows])
    table = GroupTable(known).gap(replay.evaluated.groups[rows], weak, strong)
    gaps = {"linucb": means[:, strong] - means[:, weak], "task_lookup": table}
    return rows, {name: gap.round(_DECIMALS) for name, gap in gaps.items()}
