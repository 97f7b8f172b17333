"""UCB1 (Auer et al. 2002, "Finite-time analysis of the multiarmed bandit problem")."""

from __future__ import annotations

import math

import numpy as np

from router_backend.bandits.policies.context_free import ContextFreePolicy
from router_backend.bandits.policy import Setup
from router_backend.bandits.query import Query, Scores
from router_backend.config.policy import UCB1PolicyConfig


class UCB1(ContextFreePolicy):
    """Reward of mean quality + α·√(2 ln N / n), with N all observations.

    An arm without observations counts as seen once: feedback may be days late, and an infinite bound would
    send it all requests until then.
    """

    def __init__(self, setup: Setup[UCB1PolicyConfig]) -> None:
        super().__init__(setup)
        self._alpha = setup.config.alpha

    def scores(self, query: Query) -> Scores:
        counts, quality, cost = self.totals(query)
        everything = max(float(self.counts.sum()), 1.0)
        widths = self._alpha * np.sqrt(2.0 * math.log(everything) / np.maximum(counts, 1.0))
        means, bonuses = self.reward.score(self.means(counts, quality), widths.tolist(), cost)
        return Scores([mean + bonus for mean, bonus in zip(means, bonuses, strict=True)], means, bonuses, cost)
