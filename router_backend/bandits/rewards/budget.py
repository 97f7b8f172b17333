"""A target spend, held by a price of money that follows the spending."""

from __future__ import annotations

from collections.abc import Sequence

from router_backend.bandits.rewards.protocol import PricedReward

# Share of a typical request's dearest cost by which the price is corrected for each request off target.
STEP = 0.05
# How fast the scale of costs follows the requests.
_SCALE_RATE = 0.01


class Budget(PricedReward):
    """quality − λ · cost / scale, with λ adapted online so that the mean cost meets the target.

    Dual (sub)gradient ascent on the budget's multiplier (Balseiro and Gur 2019, "Learning in repeated auctions with
    budgets", adaptive pacing): λ ← max(0, λ + STEP · (cost − target) / scale) after each request. Summed up, the
    mean cost of T requests is off the target by scale · (λ_T − λ_0) / (STEP · T), whatever the requests: so the
    target is met as long as it lies between what the cheapest arm costs and what the best arm costs. `scale` is a running mean of
    the dearest candidate's cost. The price is this process's own: replicas each hold the target for their traffic.
    """

    follows_spending = True

    def __init__(self, usd_per_1000: float, price: float) -> None:
        self.target = usd_per_1000 / 1000.0  # USD a request
        self.price = price  # λ, as it starts and as it stands
        self._scale = 0.0

    def dollar(self, costs: Sequence[float]) -> float:
        scale = self._scale or max(costs)
        return self.price / scale if scale > 0 else 0.0

    def observe(self, cost: float, costs: Sequence[float]) -> None:
        largest = max(costs)
        if largest > 0:  # false for NaN, as the next one
            self._scale += (largest - self._scale) * (_SCALE_RATE if self._scale > 0 else 1.0)
        if self._scale > 0 and cost >= 0:
            self.price = max(0.0, self.price + STEP * (cost - self.target) / self._scale)
