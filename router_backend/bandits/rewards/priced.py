"""Base of the rewards that put a price on cost: `difference` and `budget`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.rewards.reward import Reward

# Requests over which the scale of costs is a mean.
_MEMORY = 1000
# Requests that the request's own scale counts for, as long as the mean is young.
_OWN = 20
# USD under which costs count as nothing: no token is that cheap.
_NOTHING = 1e-12


class PricedReward:
    """quality − price · cost / scale.

    The scale is given, or a running mean of the most expensive candidate's expected cost. The running mean is this process's own, and
    shared by all snapshots of a policy; while it is young, a request's own most expensive candidate has a part in it.
    """

    def __init__(self, price: float, scale: float | None = None) -> None:
        self.price = price  # λ
        self.scale = scale or 0.0  # USD
        self._running = scale is None
        self._seen = 0

    def dollar(self, costs: Sequence[float]) -> float:
        """Quality that one USD is worth, given the candidates' expected costs."""
        scale = self.scale
        if self._running and self._seen < _MEMORY:
            # A handful of short requests is no scale: the request's own most expensive candidate counts for a few of them.
            own = max(costs)
            if own == own:  # false for NaN
                scale = (self._seen * scale + _OWN * own) / (self._seen + _OWN)
        # Where nothing costs anything, cost decides nothing.
        return self.price / scale if scale > _NOTHING else 0.0

    def score(
        self, quality: Sequence[float], width: list[float], costs: Sequence[float]
    ) -> tuple[list[float], list[float]]:
        dollar = self.dollar(costs)
        return [mean - dollar * costs[i] for i, mean in enumerate(quality)], width

    def sampled(self, quality: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(quality - self.dollar(costs.tolist()) * costs)

    def realised(self, quality: float, cost: float, costs: Sequence[float], weight: float | None = None) -> float:
        return quality - (self.dollar(costs or [cost]) if weight is None else weight) * cost

    def observe(
        self,
        cost: float,
        costs: Sequence[float],
        values: Sequence[float] = (),
        ratio: float = 1.0,
        most: float = 0.0,
    ) -> float:
        weight = self.dollar(costs)
        if self._running:
            largest = max(costs)
            if most > largest:
                largest = most
            if largest > _NOTHING:  # false for NaN
                if self._seen < _MEMORY:
                    self._seen += 1
                self.scale += (largest - self.scale) / self._seen
        return weight

    def adopt(self, other: Reward) -> None:
        if isinstance(other, PricedReward) and self._running and other._running:
            self.scale, self._seen = other.scale, other._seen
