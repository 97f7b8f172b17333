"""LinUCB with disjoint arms (Li et al. 2010, algorithm 1)."""

from __future__ import annotations

from operator import add

from router_backend.bandits.policies.linear import LinearPolicy
from router_backend.bandits.policy import Setup
from router_backend.bandits.query import Query, Scores
from router_backend.config.policy import LinUCBPolicyConfig


class LinUCB(LinearPolicy):
    """Reward of the upper confidence bound of quality, xᵀθ + α·√(xᵀA⁻¹x)."""

    def __init__(self, setup: Setup[LinUCBPolicyConfig]) -> None:
        super().__init__(setup)
        self._alpha = setup.config.alpha

    def scores(self, query: Query) -> Scores:
        quality, width, cost = self.estimates(query, self._alpha)
        means, bonuses = self.reward.score(quality, width, cost)
        return Scores(list(map(add, means, bonuses)), means, bonuses, cost)
