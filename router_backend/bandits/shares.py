"""Minimum and maximum shares of traffic, held by dual ascent.

Each bound has a multiplier that grows while it is broken and shrinks while it is kept; the multipliers are added to the
scores. So an arm gives up, or gets, the requests on which it costs least, and the share converges: after T requests it is
off its bound by at most multiplier / (STEP · T) (Agrawal and Devanur 2014, "Bandits with concave rewards and convex
knapsacks", is the general form). Multipliers are this process's own: each replica holds the shares for its own traffic.
"""

from __future__ import annotations

from collections.abc import Sequence

from router_backend.config.models import ModelConfig

STEP = 0.05
# Scores lie about in [-1, 2]: a multiplier of this size decides every request, a larger one would only wind up.
LIMIT = 4.0


class Shares:
    """Multipliers by arm, from the choices so far."""

    def __init__(self, minimum: Sequence[float], maximum: Sequence[float]) -> None:
        self._minimum, self._maximum = tuple(minimum), tuple(maximum)
        self._raise = [0.0] * len(self._minimum)
        self._lower = [0.0] * len(self._minimum)

    @classmethod
    def of(cls, models: Sequence[ModelConfig]) -> Shares | None:
        """None if no model has a bound."""
        minimum, maximum = [m.share.min for m in models], [m.share.max for m in models]
        return cls(minimum, maximum) if max(minimum) > 0 or min(maximum) < 1 else None

    def offset(self, arm: int) -> float:
        """What is added to the arm's score."""
        return self._raise[arm] - self._lower[arm]

    def adopt(self, other: Shares, pairs: Sequence[tuple[int, int]]) -> None:
        """Take over multipliers, as (own arm, other's arm) pairs."""
        for own, others in pairs:
            self._raise[own], self._lower[own] = other._raise[others], other._lower[others]

    def observe(self, candidates: Sequence[int], chosen: int) -> None:
        """Count a choice. Arms that couldn't be chosen keep their multipliers."""
        for arm in candidates:
            got = 1.0 if arm == chosen else 0.0
            self._raise[arm] = min(LIMIT, max(0.0, self._raise[arm] + STEP * (self._minimum[arm] - got)))
            self._lower[arm] = min(LIMIT, max(0.0, self._lower[arm] + STEP * (got - self._maximum[arm])))
