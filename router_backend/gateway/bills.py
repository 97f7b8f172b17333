"""What answers have lately cost, of what was expected of them: by it the `budget` reward counts, so that it holds real money."""

from __future__ import annotations

import math
from typing import NamedTuple

_MEMORY = 50.0  # answers
# Answers over which what was counted wrongly is counted in, where each is known before the next question; and further ones for each
# question that is asked before an answer is known: else one mistake is made good many times.
_MADE_GOOD, _PATIENCE = 50.0, 2.0
_MOST = 10.0  # a price that is further off than that is a mistake in `router.yaml`


class Asked(NamedTuple):
    """A question to the router, and what it was told."""

    ratio: float = 1.0
    number: int = 0


NOT_ASKED = Asked()


class Bills:
    """A running ratio, and what it has counted wrongly while it changed, which is made good: so Σ ratio · expected, by which a
    budget counts, comes to be Σ cost, whatever happens to costs on the way, and however late answers are."""

    def __init__(self) -> None:
        self.ratio = 1.0
        self._running = 1.0
        self._owed = 0.0  # USD: Σ (cost − ratio · expected)
        self._expected = 0.0  # USD, running mean: of the first answers a plain one
        self._entered = 0
        self._number = 0
        self._late = 0.0  # questions between one and its bill, running mean

    def ask(self) -> Asked:
        """The ratio for a question. A decision that comes of it counts by it; `enter` wants it back."""
        self._number += 1
        return Asked(self.ratio, self._number)

    def enter(self, asked: Asked, expected: float, cost: float) -> None:
        """An answer has cost `cost`, in USD, where `expected` was expected of the arm that was chosen."""
        if not (0.0 <= expected < math.inf and 0.0 <= cost < math.inf):
            return
        self._late += (max(0, self._number - asked.number) - self._late) / _MEMORY
        self._entered += 1
        self._expected += (expected - self._expected) / min(self._entered, _MEMORY)
        self._owed += cost - asked.ratio * expected  # of an answer that nothing was expected of, too
        if not self._expected:
            return
        made_good = _MADE_GOOD + _PATIENCE * self._late
        most = _MOST * made_good * self._expected
        self._owed = min(most, max(-most, self._owed))
        running = self._running + (cost - self._running * expected) / (_MEMORY * self._expected)
        self._running = _bounded(running)
        self.ratio = _bounded(self._running + self._owed / (made_good * self._expected))


def _bounded(ratio: float) -> float:
    return min(_MOST, max(1.0 / _MOST, ratio))
