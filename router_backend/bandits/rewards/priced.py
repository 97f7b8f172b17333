"""Base of the rewards that put a price on cost: `difference` and `budget`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.rewards.protocol import Reward

# How fast the scale of costs follows the requests.
_SCALE_RATE = 0.01


class PricedReward:
    """quality − price · cost / scale.

    The scale is given, or a running mean of the dearest candidate's expected cost. The running mean is this process's own, and
    shared by all snapshots of a policy; a request before the first one has its own dearest candidate as scale.
    """

    def __init__(self, price: float, scale: float | None = None) -> None:
        self.price = price  # λ
        self.scale = scale or 0.0  # USD
        self._running = scale is None
        self.follows_spending = self._running

    def dollar(self, costs: Sequence[float]) -> float:
        """Quality that one USD is worth, given the candidates' expected costs."""
        scale = self.scale or max(costs)
        # Where nothing costs anything, cost decides nothing.
        return self.price / scale if scale > 0 else 0.0

    def score(
        self, quality: Sequence[float], width: list[float], costs: Sequence[float]
    ) -> tuple[list[float], list[float]]:
        dollar = self.dollar(costs)
        return [mean - dollar * cost for mean, cost in zip(quality, costs, strict=True)], width

    def sampled(self, quality: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(quality - self.dollar(costs.tolist()) * costs)

    def realised(self, quality: float, cost: float, costs: Sequence[float]) -> float:
        return quality - self.dollar(costs or [cost]) * cost

    def observe(self, cost: float, costs: Sequence[float]) -> None:
        if self._running:
            largest = max(costs)
            if largest > 0:  # false for NaN
                self.scale += (largest - self.scale) * (_SCALE_RATE if self.scale > 0 else 1.0)

    def adopt(self, other: Reward) -> None:
        if isinstance(other, PricedReward) and self._running and other._running:
            self.scale = other.scale
