"""From runs to the content of `report.json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_backend.evaluation import baselines
from router_backend.evaluation.metrics import (
    Hull,
    Played,
    aiq,
    arena_score,
    convex_hull,
    cumulative_regret,
    interval,
    over_routing_rate,
    points_above_hull,
    resample_weights,
    resampled_above_hull,
    resampled_means,
)
from router_backend.evaluation.policies import CONTEXTUAL
from router_backend.evaluation.runner import Grid, Replay, Run, Setting, base_name, middle
from router_backend.evaluation.two_models import two_model_report

Report = dict[str, Any]
Floats = NDArray[np.float64]


def summarise(replay: Replay, grid: Grid, runs: dict[Setting, Run]) -> Report:
    """The report of a grid; keys as documented in docs/replay.md."""
    book = _Book(replay, grid, runs)
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
        "singles": book.singles(),
        "hull": [
            {"cost": float(c), "quality": float(q)} for c, q in zip(book.hull.cost, book.hull.quality, strict=True)
        ],
        "baselines": book.baselines(head),
        "policies": {policy: [book.entry(policy, *key) for key in book.grid_of(policy)] for policy in grid.policies},
        "above_hull_mean": {policy: book.mean_above_hull(policy) for policy in grid.policies},
        "aiq": book.aiq(),
        "comparisons": {
            head: {other: book.compare(head, other) for other in [*grid.policies[1:], "random_equal_cost"]}
        },
        "scenarios": {name: {p: book.scenario(p, name) for p in grid.policies} for name in grid.scenarios},
        **two_model_report(replay, grid),
    }


class _Book:
    """Runs and the recorded answers that they are measured on."""

    def __init__(self, replay: Replay, grid: Grid, runs: dict[Setting, Run]) -> None:
        self.grid, self.runs, self.scale = grid, runs, replay.scale
        self.data = replay.evaluated
        self.courses = [replay.episode(grid, seed) for seed in range(grid.seeds)]
        self.weights = resample_weights(len(self.data), seed=0)
        self.hulls = [self._hull(course.online) for course in self.courses]
        self.hull = convex_hull(*self._single_means())
        self.middle = middle(grid.lambdas)

    def _hull(self, rows: NDArray[np.intp]) -> Hull:
        return convex_hull(self.data.cost[rows].mean(0), self.data.quality[rows].mean(0))

    def _single_means(self) -> tuple[Floats, Floats]:
        """(cost, quality) [models], means over the seeds' online rows."""
        cost = np.mean([self.data.cost[course.online].mean(0) for course in self.courses], axis=0)
        quality = np.mean([self.data.quality[course.online].mean(0) for course in self.courses], axis=0)
        return cost, quality

    def singles(self) -> Report:
        cost, quality = self._single_means()
        return {
            model: {
                "quality": float(quality[i]),
                "cost": float(cost[i]),
                "arena_score": arena_score(quality[i], cost[i]),
            }
            for i, model in enumerate(self.data.models)
        }

    def grid_of(self, policy: str) -> list[tuple[float, int | None]]:
        sizes = self.grid.components if base_name(policy) in CONTEXTUAL else self.grid.components[-1:]
        return [(lambda_, size) for lambda_ in self.grid.lambdas for size in sizes]

    def played(self, policy: str, lambda_: float, components: int, scenario: str = "stationary") -> list[Run]:
        return [self.runs[Setting(policy, lambda_, components, seed, scenario)] for seed in range(self.grid.seeds)]

    def entry(self, policy: str, lambda_: float, components: int) -> Report:
        """One point of a policy, means over seeds."""
        runs = self.played(policy, lambda_, components)
        point = self._point([run.played for run in runs])
        resampled = resampled_above_hull([r.played for r in runs], self.data.quality, self.data.cost, self.weights)
        over = [over_routing_rate(r.arms, r.truth, self.data.cost[r.played.rows]) for r in runs]
        shares = np.mean([np.bincount(r.arms, minlength=len(self.data.models)) / len(r.arms) for r in runs], axis=0)
        contextual = base_name(policy) in CONTEXTUAL
        return {
            "lambda": lambda_,
            "components": components if contextual else None,
            **point,
            "above_hull_ci95": list(interval(resampled)),
            "regret": float(np.mean([self.regret(run, lambda_)[-1] for run in runs])),
            "over_routing": float(np.mean(over)),
            "arena_score": arena_score(point["quality"], point["cost"]),
            "shares": {model: float(share) for model, share in zip(self.data.models, shares, strict=True)},
        }

    def _point(self, plays: Sequence[Played]) -> Report:
        quality = float(np.mean([played.quality.mean() for played in plays]))
        hull = float(np.mean([h.at(played.cost.mean()) for h, played in zip(self.hulls, plays, strict=True)]))
        return {
            "quality": quality,
            "cost": float(np.mean([played.cost.mean() for played in plays])),
            "hull_quality": hull,
            "above_hull": 100 * (quality - hull),
        }

    def regret(self, run: Run, lambda_: float) -> Floats:
        """[online] cumulative, against the best available arm of each query."""
        cost = self.data.cost[run.played.rows]
        every = np.where(run.available, baselines.rewards(run.truth, cost, lambda_, self.scale), -np.inf)
        return cumulative_regret(baselines.rewards(run.played.quality, run.played.cost, lambda_, self.scale), every)

    def mean_above_hull(self, policy: str) -> Report:
        """The headline: mean over the λ grid, at the most components, with its interval."""
        size = self.grid.components[-1]
        parts = [
            resampled_above_hull(
                [run.played for run in self.played(policy, lambda_, size)],
                self.data.quality,
                self.data.cost,
                self.weights,
            )
            for lambda_ in self.grid.lambdas
        ]
        points = [
            self._point([run.played for run in self.played(policy, lambda_, size)])["above_hull"]
            for lambda_ in self.grid.lambdas
        ]
        return {"value": float(np.mean(points)), "ci95": list(interval(np.mean(parts, axis=0)))}

    def aiq(self) -> Report:
        """Over the singles' range of costs, for the singles' hull and for each policy's λ grid."""
        low, high = float(self.hull.cost[0]), float(self.hull.cost[-1])
        if high <= low:
            return {}
        found = {"hull": aiq(self.hull.cost, self.hull.quality, low, high)}
        for policy in self.grid.policies:
            points = [
                self._point([r.played for r in self.played(policy, lambda_, self.grid.components[-1])])
                for lambda_ in self.grid.lambdas
            ]
            # Any policy can be mixed with the cheapest model: that is its curve below its cheapest setting.
            found[policy] = aiq(
                [low, *(point["cost"] for point in points)],
                [float(self.hull.quality[0]), *(point["quality"] for point in points)],
                low,
                high,
            )
        return found

    def compare(self, policy: str, other: str) -> Report:
        """Mean difference over the λ grid with its paired interval: of rewards, or of quality at equal cost."""
        size, differences, values = self.grid.components[-1], [], []
        for lambda_ in self.grid.lambdas:
            ours = self.played(policy, lambda_, size)
            theirs = None if other == "random_equal_cost" else self.played(other, lambda_, size)
            for i, run in enumerate(ours):
                gain = self._gain(run, theirs[i] if theirs else None, lambda_)
                values.append(gain.mean())
                differences.append(resampled_means(run.played.rows, gain[:, None], self.weights)[:, 0])
        low, high = interval(np.mean(differences, axis=0))
        return {"difference": 100 * float(np.mean(values)), "ci95": [100 * low, 100 * high], "wins": low > 0}

    def _gain(self, run: Run, other: Run | None, lambda_: float) -> Floats:
        ours = run.played
        if other is None:
            quality, _ = baselines.random_at_cost(
                self.data.quality[ours.rows], self.data.cost[ours.rows], float(ours.cost.mean())
            )
            return ours.quality - quality
        theirs = other.played
        return baselines.rewards(ours.quality - theirs.quality, ours.cost - theirs.cost, lambda_, self.scale)

    def scenario(self, policy: str, scenario: str) -> Report:
        """Reward before and after the middle of the run, and what the best arm there would have got; means over seeds."""
        runs = self.played(policy, self.middle, self.grid.components[-1], scenario)
        halves: dict[str, list[float]] = {"first_half": [], "second_half": [], "best_single_second_half": []}
        newcomer, regrets = [], []
        for run in runs:
            cost = self.data.cost[run.played.rows]
            every = baselines.rewards(run.truth, cost, self.middle, self.scale)
            got = baselines.rewards(run.played.quality, run.played.cost, self.middle, self.scale)
            cut = len(got) // 2
            halves["first_half"].append(got[:cut].mean())
            halves["second_half"].append(got[cut:].mean())
            halves["best_single_second_half"].append(every[cut:].mean(0).max())
            joined = np.flatnonzero(~run.available[0])
            newcomer.append(float(np.isin(run.arms[cut:], joined).mean()))
            regrets.append(float(self.regret(run, self.middle)[-1]))
        found = {name: float(np.mean(values)) for name, values in halves.items()}
        found["regret"] = float(np.mean(regrets))
        if scenario == "new_model":
            found["newcomer_share"] = float(np.mean(newcomer))
        return found

    def baselines(self, head: str) -> Report:
        """Quality and cost of what needs no learning; those that depend on λ are at each λ, and plain at the middle one."""
        found: Report = {
            "random": self._mean(lambda rows: (self.data.quality[rows].mean(1), self.data.cost[rows].mean(1)))
        }
        best = baselines.cheapest_right(self.data)
        found["oracle"] = self._mean(lambda rows: self._taken(rows, best[rows]))
        order = np.argsort(self.data.cost.mean(0))
        climbed = baselines.cascade(self.data, order, 0.5)
        found["cascade_perfect_judge"] = self._mean(lambda rows: (climbed[0][rows], climbed[1][rows]))
        for lambda_ in self.grid.lambdas:
            target = self._point([r.played for r in self.played(head, lambda_, self.grid.components[-1])])["cost"]
            values = {
                "random_equal_cost": self._mean(
                    lambda rows, target=target: baselines.random_at_cost(
                        self.data.quality[rows], self.data.cost[rows], target
                    )
                ),
                "task_lookup": self._task_lookup(lambda_),
                "oracle_reward": self._mean(
                    lambda rows, lambda_=lambda_: self._taken(
                        rows, baselines.oracle(self.data.rows(rows), lambda_, self.scale)
                    )
                ),
            }
            for name, point in values.items():
                found[f"{name}@{lambda_:g}"] = point
                if lambda_ == self.middle:
                    found[name] = point
        return found

    def _task_lookup(self, lambda_: float) -> Report:
        def look(rows: NDArray[np.intp], seed: int) -> tuple[Floats, Floats]:
            table = baselines.GroupTable(self.data.rows(self.courses[seed].bootstrap))
            return self._taken(rows, table.choose(self.data.groups[rows], lambda_, self.scale))

        pairs = [look(course.online, course.seed) for course in self.courses]
        return self._describe(pairs)

    def _taken(self, rows: NDArray[np.intp], arms: NDArray[np.intp]) -> tuple[Floats, Floats]:
        return self.data.quality[rows, arms], self.data.cost[rows, arms]

    def _mean(self, of: Any) -> Report:
        return self._describe([of(course.online) for course in self.courses])

    def _describe(self, pairs: Sequence[tuple[Floats, Floats]]) -> Report:
        quality = float(np.mean([q.mean() for q, _ in pairs]))
        cost = float(np.mean([c.mean() for _, c in pairs]))
        above = np.mean([points_above_hull(q.mean(), c.mean(), h) for (q, c), h in zip(pairs, self.hulls, strict=True)])
        return {"quality": quality, "cost": cost, "above_hull": float(above), "arena_score": arena_score(quality, cost)}
