"""Thompson sampling with Beta posteriors (Agrawal and Goyal 2012, algorithm 2, with fractional successes)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.policies.context_free import ContextFreePolicy
from router_backend.bandits.query import Query, Scores


class Thompson(ContextFreePolicy):
    """Reward of a quality drawn from Beta(1 + Σ quality, 1 + Σ (1 − quality)).

    A quality between 0 and 1 counts as that fraction of a success: the mean is the same as under the randomised rounding of the
    paper, without its noise.
    """

    stochastic = True

    def scores(self, query: Query) -> Scores:
        """Expected rewards, as values and as means; the bonus is one standard deviation's."""
        successes, failures, cost = self._posterior(query)
        total = successes + failures
        quality = successes / total
        deviation = np.sqrt(quality * (1.0 - quality) / (total + 1.0))
        means, bonuses = self.reward.score(quality.tolist(), deviation.tolist(), cost)
        return Scores(means, means, bonuses, cost)

    def draw(self, query: Query, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        successes, failures, cost = self._posterior(query)
        return self.reward.sampled(rng.beta(successes, failures, (size, len(cost))), np.array(cost))

    def _posterior(self, query: Query) -> tuple[NDArray[np.float64], NDArray[np.float64], list[float]]:
        counts, quality, cost = self.totals(query)
        return 1.0 + np.maximum(quality, 0.0), 1.0 + np.maximum(counts - quality, 0.0), cost
