"""Quality less the price of cost: the default."""

from __future__ import annotations

from collections.abc import Sequence

from router_backend.bandits.rewards.protocol import AffineReward


class Difference(AffineReward):
    """quality − λ · cost / (largest cost among the candidates).

    Cost is relative to the request's own dearest candidate, so λ means the same for short and long prompts:
    how much quality the step from free to dearest must bring to be worth it.
    """

    def __init__(self, price: float) -> None:
        self.price = price  # λ

    def terms(self, costs: Sequence[float]) -> tuple[list[float], list[float]]:
        largest = max(costs)
        # Nothing costs anything: cost decides nothing. Written so that a NaN ends here too.
        slope = -self.price / largest if largest > 0 else 0.0
        return [1.0] * len(costs), [slope * cost for cost in costs]

    def realised(self, quality: float, cost: float, costs: Sequence[float]) -> float:
        # An answer that came out dearer than any estimate costs λ at most once per estimate: no clipping, it did.
        largest = max(costs, default=cost)
        return quality - (self.price * cost / largest if largest > 0 else 0.0)
