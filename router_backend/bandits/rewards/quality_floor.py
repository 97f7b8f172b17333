"""The cheapest arm that is good enough, surely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.rewards.reward import Reward


class QualityFloor:
    """The cheapest candidate whose lower confidence bound of quality clears the floor; if none does, the highest bound.

    As a score: 2 − cost / largest cost (in [1, 2]) if the bound clears the floor, else the bound, which is at most 1.
    The bonus is what the width takes away: this reward is pessimistic, so exploration is the epsilon floor's alone.
    """

    def __init__(self, floor: float) -> None:
        self.floor = floor

    def dollar(self, costs: Sequence[float]) -> float:
        return 0.0

    def score(
        self, quality: Sequence[float], width: list[float], costs: Sequence[float]
    ) -> tuple[list[float], list[float]]:
        largest = max(costs)
        values = []
        for mean, spread, cost in zip(quality, width, costs, strict=True):
            bound = mean - spread
            clears = 2.0 - (cost / largest if largest > 0 else 0.0)
            values.append(clears if bound >= self.floor else min(bound, 1.0))
        return list(quality), [value - mean for value, mean in zip(values, quality, strict=True)]

    def sampled(self, quality: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.float64]:
        largest = costs.max()
        clears = 2.0 - (costs / largest if largest > 0 else np.zeros_like(costs))
        return np.where(quality >= self.floor, clears, np.minimum(quality, 1.0))

    def realised(self, quality: float, cost: float, costs: Sequence[float], weight: float | None = None) -> float:
        largest = max(costs, default=cost)
        return 2.0 - (cost / largest if largest > 0 else 0.0) if quality >= self.floor else quality

    def observe(
        self,
        cost: float,
        costs: Sequence[float],
        values: Sequence[float] = (),
        ratio: float = 1.0,
        most: float = 0.0,
    ) -> float:
        """What was spent doesn't change this reward."""
        return 0.0

    def adopt(self, other: Reward) -> None:
        """Nothing was observed."""
