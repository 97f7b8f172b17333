"""A target spend, held by a price of money that follows the spending."""

from __future__ import annotations

from collections.abc import Sequence

from router_backend.bandits.rewards.priced import PricedReward
from router_backend.bandits.rewards.reward import Reward

# Share of the scale by which the price is corrected for each request.
STEP = 0.05


class Budget(PricedReward):
    """quality − λ · cost / scale, with λ adapted online so that the mean cost meets the target.

    Dual (sub)gradient ascent on the budget's multiplier (Balseiro and Gur 2019, "Learning in repeated auctions with
    budgets", adaptive pacing): λ ← max(0, λ + STEP · (cost − target) / scale) after each request. Summed up, the
    mean cost of T requests is off the target by scale · (λ_T − λ_0) / (STEP · T), whatever the requests: so the
    target is met as long as it lies between what the cheapest arm and what the best arm cost. Cost here is what was expected
    when the arm was chosen; the expectation itself follows real usage (costs.py). The price is this process's own: replicas
    each hold the target for their traffic.
    """

    def __init__(self, usd_per_1000: float, price: float, scale: float | None = None) -> None:
        super().__init__(price, scale)  # λ as it starts
        self.target = usd_per_1000 / 1000.0  # USD a request

    def observe(self, cost: float, costs: Sequence[float]) -> float:
        weight = super().observe(cost, costs)
        if self.scale > 0 and cost >= 0:  # false for NaN
            self.price = max(0.0, self.price + STEP * (cost - self.target) / self.scale)
        return weight

    def adopt(self, other: Reward) -> None:
        super().adopt(other)
        if isinstance(other, Budget):
            self.price = other.price
