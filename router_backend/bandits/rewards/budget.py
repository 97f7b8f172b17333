"""A target spend, held by a price of money that follows the spending."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

from router_backend.bandits.rewards.pacer import Pacer
from router_backend.bandits.rewards.priced import PricedReward
from router_backend.bandits.rewards.reward import Reward


class Budget(PricedReward):
    """quality − λ · cost / scale, with λ such that the mean cost meets the target (`pacer.Pacer`).

    The target is met as long as it lies between what the cheapest arm and what the best arm cost. Cost here is what was expected when the
    arm was chosen, times what answers have lately cost beyond what was expected of them. The price is this process's
    own: replicas each hold the target for their traffic.
    """

    def __init__(self, usd_per_1000: float, price: float, scale: float | None = None) -> None:
        super().__init__(price, scale)  # λ as it starts
        self.target = usd_per_1000 / 1000.0  # USD a request
        self._pacer = Pacer(self.target)

    def dollar(self, costs: Sequence[float]) -> float:
        found = self._pacer.dollar
        return super().dollar(costs) if found is None else found

    def observe(
        self,
        cost: float,
        costs: Sequence[float],
        values: Sequence[float] = (),
        ratio: float = 1.0,
        most: float = 0.0,
    ) -> float:
        weight = super().observe(cost, costs, most=most)
        free = [value + weight * costs[i] for i, value in enumerate(values)] or [0.0] * len(costs)
        if cost >= 0 and ratio > 0 and math.isfinite(cost + ratio + sum(free) + sum(costs)):
            self._pacer.observe(cost, costs, free, ratio)
            if self._pacer.dollar is not None:
                self.price = self._pacer.dollar * self.scale
        return weight

    def adopt(self, other: Reward) -> None:
        super().adopt(other)
        if isinstance(other, Budget) and other.target == self.target:
            self.price, self._pacer = other.price, copy.deepcopy(other._pacer)
        elif isinstance(other, Budget):
            self.price = other.price
