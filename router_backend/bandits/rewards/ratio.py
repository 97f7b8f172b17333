"""Quality per relative cost, as in the MetaLLM description (Nguyen et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence

from router_backend.bandits.rewards.protocol import AffineReward


class Ratio(AffineReward):
    """quality / (cost / cheapest cost). On real data it sends nearly everything to the cheapest model."""

    def terms(self, costs: Sequence[float]) -> tuple[list[float], list[float]]:
        least = min(costs)
        return [least / cost if cost > 0 else 1.0 for cost in costs], [0.0] * len(costs)

    def realised(self, quality: float, cost: float, costs: Sequence[float]) -> float:
        least = min(costs, default=cost)
        return quality * least / cost if cost > 0 else quality
