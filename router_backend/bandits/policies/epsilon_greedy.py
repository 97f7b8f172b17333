"""Epsilon-greedy: the best mean so far, and with probability `epsilon` any candidate."""

from __future__ import annotations

from router_backend.bandits.policies.context_free import ContextFreePolicy
from router_backend.bandits.query import Query, Scores


class EpsilonGreedy(ContextFreePolicy):
    """The random part is the exploration floor that every policy has (selection.py)."""

    def scores(self, query: Query) -> Scores:
        counts, quality, cost = self.totals(query)
        means, bonuses = self.reward.score(self.means(counts, quality), [0.0] * len(cost), cost)
        return Scores(means, means, bonuses, cost)
