"""Runs beside the recorded answers that they are measured on: what every part of the report reads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_backend.lab.replay.baselines import rewards
from router_backend.lab.replay.measures import (
    Run,
    convex_hull,
    cumulative_regret,
    resample_weights,
    resampled_above_hull,
    resampled_hulls,
)
from router_backend.lab.replay.policies import CONTEXTUAL
from router_backend.lab.replay.runner import Grid, Replay, Setting, base_name, middle

Floats = NDArray[np.float64]


class Evaluation:
    """All runs of a grid. Resamples of the queries are drawn once, so that every interval is paired with every other."""

    def __init__(self, replay: Replay, grid: Grid, runs: dict[Setting, Run]) -> None:
        self.grid, self.runs, self.scale = grid, runs, replay.scale
        self.data = replay.evaluated
        self.episodes = [replay.episode(grid, seed) for seed in range(grid.seeds)]
        self.weights = resample_weights(len(self.data), seed=0)
        online = [course.online for course in self.episodes]
        self.hulls = [convex_hull(self.data.cost[rows].mean(0), self.data.quality[rows].mean(0)) for rows in online]
        self.resampled_hulls = [resampled_hulls(r, self.data.quality, self.data.cost, self.weights) for r in online]
        self.single_cost: Floats = np.mean([self.data.cost[rows].mean(0) for rows in online], axis=0)
        self.single_quality: Floats = np.mean([self.data.quality[rows].mean(0) for rows in online], axis=0)
        self.hull = convex_hull(self.single_cost, self.single_quality)
        self.middle, self.largest = middle(grid.lambdas), grid.components[-1]
        self.resampled = cache(self._resampled)

    def reads_embedding(self, policy: str) -> bool:
        return base_name(policy) in CONTEXTUAL

    def sizes(self, policy: str) -> tuple[int, ...]:
        """Components that the policy was run with."""
        return self.grid.components if self.reads_embedding(policy) else self.grid.components[-1:]

    def runs_of(self, policy: str, lambda_: float, components: int, scenario: str = "stationary") -> list[Run]:
        """One setting's runs, by seed."""
        return [self.runs[Setting(policy, lambda_, components, seed, scenario)] for seed in range(self.grid.seeds)]

    def over_lambdas(self, policy: str) -> list[list[Run]]:
        """Runs by λ and seed, at the most components."""
        return [self.runs_of(policy, lambda_, self.largest) for lambda_ in self.grid.lambdas]

    def point(self, runs: Sequence[Run]) -> dict[str, Any]:
        """Means over seeds; each seed is held against the hull of its own online rows."""
        quality = float(np.mean([run.quality.mean() for run in runs]))
        heights = [hull.at(run.cost.mean()) for hull, run in zip(self.hulls, runs, strict=True)]
        hull = float(np.mean(heights))
        return {
            "quality": quality,
            "cost": float(np.mean([run.cost.mean() for run in runs])),
            "hull_quality": hull,
            "above_hull": 100 * (quality - hull),
        }

    def _resampled(self, policy: str, lambda_: float, components: int) -> Floats:
        runs = self.runs_of(policy, lambda_, components)
        return resampled_above_hull(runs, self.resampled_hulls, self.weights)

    def resampled_mean(self, policy: str) -> Floats:
        """[resamples] points above the hull, mean over λ."""
        parts = [self.resampled(policy, lambda_, self.largest) for lambda_ in self.grid.lambdas]
        return np.asarray(np.mean(parts, axis=0))

    def regret(self, run: Run, lambda_: float) -> Floats:
        """[online] cumulative, against the best available arm of each query."""
        cost = self.data.cost[run.rows]
        every = np.where(run.available, rewards(run.truth, cost, lambda_, self.scale), -np.inf)
        return cumulative_regret(rewards(run.quality, run.cost, lambda_, self.scale), every)
