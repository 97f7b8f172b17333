"""Quality less the price of cost: the default."""

from __future__ import annotations

from collections.abc import Sequence

from router_backend.bandits.rewards.protocol import PricedReward


class Difference(PricedReward):
    """quality − λ · cost / (largest cost among the candidates).

    Cost is relative to the request's own dearest candidate, so λ means the same for short and long prompts:
    how much quality the step from free to dearest must bring to be worth it.
    """

    def __init__(self, price: float) -> None:
        self.price = price  # λ

    def dollar(self, costs: Sequence[float]) -> float:
        largest = max(costs)
        # Where nothing costs anything, cost decides nothing.
        return self.price / largest if largest > 0 else 0.0
