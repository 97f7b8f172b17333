"""What a policy has to beat. Each is a function of the recorded answers; choices are arms [rows].

Rewards are `difference`: quality − λ·cost/scale, with `scale` the mean cost of the most expensive model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from router_backend.lab.replay.datasets import RoutingData

Floats = NDArray[np.float64]
Arms = NDArray[np.intp]
# A group's mean is drawn towards the overall mean as by so many observations: small groups are noise.
_SHRINK = 5.0


def cost_scale(cost: Floats) -> float:
    """Mean cost of the most expensive model, USD; `cost` is [rows, models]."""
    return float(cost.mean(0).max())


def rewards(quality: Floats, cost: Floats, lambda_: float, scale: float) -> Floats:
    """The `difference` reward, any shape."""
    return quality - lambda_ * cost / scale


def oracle(data: RoutingData, lambda_: float, scale: float) -> Arms:
    """The best arm of each query in hindsight."""
    return np.asarray(rewards(data.quality, data.cost, lambda_, scale).argmax(1))


def cheapest_right(data: RoutingData) -> Arms:
    """The oracle of quality: the cheapest among the best answers to each query."""
    best = data.quality >= data.quality.max(1, keepdims=True)
    return np.asarray(np.where(best, data.cost, np.inf).argmin(1))


class GroupTable:
    """Mean quality and cost of each model by group (category or task): the task-lookup table."""

    def __init__(self, known: RoutingData) -> None:
        self._quality, self._cost = known.quality.mean(0), known.cost.mean(0)
        self._groups = {
            group: self._means(known.quality[known.groups == group], known.cost[known.groups == group])
            for group in set(known.groups)
        }

    def _means(self, quality: Floats, cost: Floats) -> tuple[Floats, Floats]:
        rows = len(quality)
        return (
            (quality.sum(0) + _SHRINK * self._quality) / (rows + _SHRINK),
            (cost.sum(0) + _SHRINK * self._cost) / (rows + _SHRINK),
        )

    def means(self, group: str) -> tuple[Floats, Floats]:
        """Quality and cost [models] of a group; the overall means for one that was never seen."""
        return self._groups.get(group, (self._quality, self._cost))

    def choose(self, groups: NDArray[np.object_], lambda_: float, scale: float) -> Arms:
        """The arm with the best mean reward in each row's group."""
        best = {g: int(rewards(*self.means(g), lambda_, scale).argmax()) for g in set(groups)}
        return np.array([best[group] for group in groups], np.intp)

    def gap(self, groups: NDArray[np.object_], weak: int, strong: int) -> Floats:
        """[rows]: mean quality of `strong` − that of `weak` in each row's group."""
        gaps = {group: float(np.diff(self.means(group)[0][[weak, strong]])[0]) for group in set(groups)}
        return np.array([gaps[group] for group in groups])


def random_at_cost(quality: Floats, cost: Floats, target: float) -> tuple[Floats, Floats]:
    """Per-query expectation of a coin between the cheapest and the most expensive model whose mean cost is `target`.

    RouteLLM's random router, with more than two models: [rows] quality, [rows] cost.
    """
    mean = cost.mean(0)
    cheap, costly = int(mean.argmin()), int(mean.argmax())
    share = float(np.clip((target - mean[cheap]) / (mean[costly] - mean[cheap]), 0, 1)) if costly != cheap else 0.0
    return (
        (1 - share) * quality[:, cheap] + share * quality[:, costly],
        (1 - share) * cost[:, cheap] + share * cost[:, costly],
    )


def cascade(data: RoutingData, order: Arms, threshold: float) -> tuple[Floats, Floats]:
    """FrugalGPT's cascade (Chen, Zaharia and Zou 2023), with the recorded scores as its scorer.

    Each query climbs `order` until an answer scores at least `threshold`; every answer on the way is paid. A real scorer is
    worse than the recorded one, so this is the cascade's upper bound. [rows] quality, [rows] cost.
    """
    rows = len(data)
    quality, cost, open_ = np.zeros(rows), np.zeros(rows), np.ones(rows, bool)
    for arm in order:
        quality[open_] = data.quality[open_, arm]
        cost[open_] += data.cost[open_, arm]
        open_ &= data.quality[:, arm] < threshold
    return quality, cost
