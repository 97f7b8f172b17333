"""What one USD has to be worth, so that requests cost a target on average: feed-forward from what was expected of the latest
requests, and feedback from what has been spent beyond the target. The target is the same for each request, or what time brings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WINDOW = 128
"""Requests of which the expectations are remembered."""
HORIZON = 25.0
"""Requests over which what was spent too much, or too little, is made good."""
_EVERY = 4  # requests between two corrections: one costs some 100 µs
_DEBT = 200.0  # in targets. What can't be made good (the best models cost less than the target) isn't kept for ever.
_LOAD = 64.0  # requests over which the money that time brings is averaged
_JUMP = 10.0  # times the average that one pause counts for in it at most
_HALVINGS = 12
# Times what quality 1 would cost at the target: no quality is worth a millionth of the target more. Beyond it qualities, which are sums less this
# price's part, would be lost to rounding.
_DEAREST = 1e6


class Pacer:
    """Solves, again and again, for the price at which the latest requests would have cost what may be spent now.

    With the arms' values v and costs c of a request (both as expected when it was decided), the price w sends it to
    argmax v + w₀c − wc, where w₀ is the price that is in v already. The mean cost S(w) of the latest `WINDOW` requests falls as w
    grows, so S(w) = target − debt / `HORIZON` is solved by halving. `debt` is Σ (cost − target): with prompts that double in
    length the window is wrong for some time, and the debt isn't. Re-solving with the budget that is left: Jasin 2014, "Reoptimization
    and self-adjusting price control"; debt as the dual variable's integral: Balseiro and Gur 2019, "Learning in repeated auctions
    with budgets".
    """

    def __init__(self, target: float | None, most: float | None = None) -> None:
        """`target`: USD a request; None: what `observe` is told. `most`: USD of debt or savings that are kept."""
        self.dollar: float | None = None  # quality that one USD is worth; None: too little is known yet
        self.debt = 0.0  # USD
        self._target, self._most = target or 0.0, most
        self._seen = 0
        self._values = np.full((WINDOW, 1), -np.inf)
        self._costs = np.zeros((WINDOW, 1))

    def observe(
        self,
        cost: float,
        costs: Sequence[float],
        values: Sequence[float],
        ratio: float = 1.0,
        brought: float | None = None,
    ) -> None:
        """A request was sent to an arm.

        Args:
            cost: USD that it was expected to cost.
            costs: USD that the candidates were expected to cost.
            values: of the candidates, without any cost weight.
            ratio: what answers have lately cost, of what was expected of them.
            brought: USD that the time since the last request has brought; None: the target.
        """
        if brought is None:
            brought = self._target
        else:
            step = min(brought, _JUMP * self._target) if self._target else brought
            self._target += (step - self._target) / min(_LOAD, self._seen + 1)
        missing = len(costs) - self._costs.shape[1]
        if missing > 0:
            self._values = np.pad(self._values, ((0, 0), (0, missing)), constant_values=-np.inf)
            self._costs = np.pad(self._costs, ((0, 0), (0, missing)))
        row = self._seen % WINDOW
        self._values[row], self._costs[row] = -np.inf, 0.0
        self._values[row, : len(values)], self._costs[row, : len(costs)] = values, costs
        self._seen += 1
        most = _DEBT * self._target if self._most is None else self._most
        self.debt = min(most, max(-most, self.debt + ratio * cost - brought))
        if self._seen % _EVERY == 0 and self._target > 0:
            self.dollar = self._solved((self._target - self.debt / HORIZON) / ratio)

    def _solved(self, goal: float) -> float:
        """The price at which the latest requests would have been expected to cost `goal`."""
        rows = min(self._seen, WINDOW)
        values, costs, span = self._values[:rows], self._costs[:rows], np.arange(rows)

        def spent(dollar: float) -> float:
            return float(costs[span, (values - dollar * costs).argmax(1)].mean())

        if spent(0.0) <= goal:
            return 0.0
        most = _DEAREST / self._target
        low, high = 0.0, min(2.0 * (self.dollar or 1.0 / self._target), most)
        while spent(high) > goal:
            if high >= most:
                return most  # even the cheapest arms cost more
            low, high = high, min(2.0 * high, most)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            low, high = (low, middle) if spent(middle) <= goal else (middle, high)
        # Where all requests are alike, a step lies between the two: then spending and saving take turns.
        return low if self.debt < 0.0 else high
