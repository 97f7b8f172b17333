"""What answers have lately cost, of what was expected of them: by it the `budget` reward counts, so that it holds real money."""

from __future__ import annotations

_MEMORY = 50.0  # answers
_MADE_GOOD = 100.0  # answers over which what was counted wrongly is counted in
_MOST = 10.0  # a price that is further off than that is a mistake in `router.yaml`


class Bills:
    """A running ratio, and what it has counted wrongly while it changed, which is made good: so Σ ratio · expected, by which a
    budget counts, comes to be Σ cost, whatever happens to costs on the way."""

    def __init__(self) -> None:
        self.ratio = 1.0
        self._running = 1.0
        self._owed = 0.0  # USD: Σ (cost − ratio · expected)
        self._expected = 0.0  # USD, running mean

    def enter(self, expected: float, cost: float) -> None:
        """An answer has cost `cost`, in USD, where `expected` was expected of the arm that was chosen."""
        if not (expected > 0.0 and cost >= 0.0):
            return
        self._expected = self._expected + (expected - self._expected) / _MEMORY if self._expected else expected
        most = _MOST * _MADE_GOOD * self._expected
        self._owed = min(most, max(-most, self._owed + cost - self.ratio * expected))
        running = self._running + (cost - self._running * expected) / (_MEMORY * self._expected)
        self._running = _bounded(running)
        self.ratio = _bounded(self._running + self._owed / (_MADE_GOOD * self._expected))


def _bounded(ratio: float) -> float:
    return min(_MOST, max(1.0 / _MOST, ratio))
