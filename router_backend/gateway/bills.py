"""What answers have lately cost, of what was expected of them: by it the `budget` reward counts, so that it holds real money."""

from __future__ import annotations

_MEMORY = 50.0  # answers
_MOST = 10.0  # a price that is further off than that is a mistake in `router.yaml`


class Bills:
    """A running ratio. Σ (cost − ratio · expected) is at most `_MEMORY` times the mean cost times what the ratio has changed by,
    however many answers there were: so a budget that counts ratio · expected counts what was spent."""

    def __init__(self) -> None:
        self.ratio = 1.0
        self._expected = 0.0  # USD, running mean

    def enter(self, expected: float, cost: float) -> None:
        """An answer has cost `cost`, in USD, where `expected` was expected of the arm that was chosen."""
        if not (expected > 0.0 and cost >= 0.0):
            return
        self._expected = self._expected + (expected - self._expected) / _MEMORY if self._expected else expected
        ratio = self.ratio + (cost - self.ratio * expected) / (_MEMORY * self._expected)
        self.ratio = min(_MOST, max(1.0 / _MOST, ratio))
