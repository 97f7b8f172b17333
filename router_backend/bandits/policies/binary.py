"""RouteLLM's strong/weak threshold router (Ong et al. 2024), with the win probability from this router's own regressions."""

from __future__ import annotations

import math

from router_backend.bandits.policies.linear import LinearPolicy
from router_backend.bandits.policy import Setup
from router_backend.bandits.query import Query, Scores
from router_backend.config.policy import BinaryPolicyConfig


class Binary(LinearPolicy):
    """The strong model if P(its answer is the better one) reaches the threshold, else the weak one.

    With qualities s and w expected of the two, and an answer's score spread as a right-or-wrong one's, the probability is
    Φ((s − w) / √(s(1 − s) + w(1 − w))): ½ where they are equal. Other candidates come after the two.
    """

    def __init__(self, setup: Setup[BinaryPolicyConfig]) -> None:
        super().__init__(setup)
        by_price, config = setup.by_price(), setup.config
        self._strong = by_price[-1] if config.strong is None else self.arms.index(config.strong)
        self._weak = by_price[0] if config.weak is None else self.arms.index(config.weak)
        self._threshold = config.threshold

    def scores(self, query: Query) -> Scores:
        """Of strong the win probability less the threshold, of weak 0, of others below both."""
        quality, _, cost = self.estimates(query)
        of = dict(zip(query.candidates, quality, strict=True))
        if self._strong in of and self._weak in of:
            margin = win_probability(of[self._strong], of[self._weak]) - self._threshold
        else:
            margin = 0.0
        values = [self._value(arm, margin) for arm in query.candidates]
        return Scores(values, quality, [0.0] * len(values), cost)

    def _value(self, arm: int, margin: float) -> float:
        if arm == self._strong:
            # At the threshold itself the strong model is taken.
            return margin if margin != 0 else 1e-12
        return 0.0 if arm == self._weak else -2.0


def win_probability(strong: float, weak: float) -> float:
    """P(the strong model's answer is better), given the qualities expected of both."""
    s, w = min(max(strong, 0.0), 1.0), min(max(weak, 0.0), 1.0)
    # Predictions of exactly 0 or 1 are never certain.
    spread = max(math.sqrt(s * (1.0 - s) + w * (1.0 - w)), 0.1)
    return 0.5 * (1.0 + math.erf((strong - weak) / spread / math.sqrt(2.0)))
