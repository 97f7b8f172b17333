"""Quality per relative cost, as in the MetaLLM description (Nguyen et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.rewards.reward import Reward


class Ratio:
    """quality / (cost / cheapest cost). On real data it sends nearly everything to the cheapest model."""

    def dollar(self, costs: Sequence[float]) -> float:
        return 0.0

    def score(
        self, quality: Sequence[float], width: list[float], costs: Sequence[float]
    ) -> tuple[list[float], list[float]]:
        gains = _gains(costs)
        means = [gain * mean for gain, mean in zip(gains, quality, strict=True)]
        return means, [gain * value for gain, value in zip(gains, width, strict=True)]

    def sampled(self, quality: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(quality * np.array(_gains(costs.tolist())))

    def realised(self, quality: float, cost: float, costs: Sequence[float], weight: float | None = None) -> float:
        return quality * (min(costs, default=cost) / cost) if cost > 0 else quality

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


def _gains(costs: Sequence[float]) -> list[float]:
    least = min(costs)
    return [least / cost if cost > 0 else 1.0 for cost in costs]
