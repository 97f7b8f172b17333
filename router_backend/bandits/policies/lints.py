"""Linear Thompson sampling with disjoint arms (Agrawal and Goyal 2013, "Thompson sampling for contextual bandits")."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.policies.linear import LinearPolicy
from router_backend.bandits.policy import Setup
from router_backend.bandits.query import Query, Scores
from router_backend.config.policy import LinTSPolicyConfig


class LinTS(LinearPolicy):
    """Reward of a quality drawn from N(xᵀθ, α²·xᵀA⁻¹x): what xᵀθ̃ is for θ̃ drawn from N(θ, α²A⁻¹)."""

    stochastic = True

    def __init__(self, setup: Setup[LinTSPolicyConfig]) -> None:
        super().__init__(setup)
        self._alpha = setup.config.alpha

    def scores(self, query: Query) -> Scores:
        """Expected rewards, as values and as means; the bonus is one standard deviation's."""
        quality, deviation, cost = self.estimates(query, self._alpha)
        means, bonuses = self.reward.score(quality, deviation, cost)
        return Scores(means, means, bonuses, cost)

    def draw(self, query: Query, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        quality, deviation, cost = self.estimates(query, self._alpha)
        drawn = rng.standard_normal((size, len(quality))) * np.array(deviation) + np.array(quality)
        return self.reward.sampled(drawn, np.array(cost))
