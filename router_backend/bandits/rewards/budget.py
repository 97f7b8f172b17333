"""A target spend, held by a cost weight that follows the spending."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence

from router_backend.bandits.rewards.pacer import Pacer
from router_backend.bandits.rewards.priced import PricedReward
from router_backend.bandits.rewards.reward import Reward

_DAY = 86_400.0
_KEPT = 3600.0  # seconds whose money is kept while it isn't spent, or is lent


class Budget(PricedReward):
    """quality − λ · cost / scale, with λ such that the mean cost meets the target (`pacer.Pacer`).

    The target is met as long as it lies between what the cheapest arm and what the best arm cost. Cost here is what was expected when the
    arm was chosen, times what answers have lately cost beyond what was expected of them. The price is this process's
    own: replicas each hold the target for their traffic.

    Of a target by day, each second brings its part. Money that nobody asks for is kept for an hour: so a day costs at most an hour's
    money more than its target.
    """

    def __init__(
        self,
        usd_per_1000: float | None,
        price: float,
        scale: float | None = None,
        *,
        usd_per_day: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """One of the two targets is given. `clock`: seconds."""
        super().__init__(price, scale)  # λ as it starts
        self.target = usd_per_1000, usd_per_day
        self._second = (usd_per_day or 0.0) / _DAY  # USD
        self._clock, self._last = clock, None if usd_per_day is None else clock()
        self._pacer = Pacer(None if usd_per_1000 is None else usd_per_1000 / 1000.0, self._second * _KEPT or None)

    def dollar(self, costs: Sequence[float]) -> float:
        found = self._pacer.dollar
        return super().dollar(costs) if found is None else found

    def observe(
        self,
        cost: float,
        costs: Sequence[float],
        values: Sequence[float] = (),
        ratio: float = 1.0,
        most: float = 0.0,
    ) -> float:
        weight = super().observe(cost, costs, most=most)
        free = [value + weight * costs[i] for i, value in enumerate(values)] or [0.0] * len(costs)
        if cost >= 0 and ratio > 0 and math.isfinite(cost + ratio + sum(free) + sum(costs)):
            self._pacer.observe(cost, costs, free, ratio, self._brought())
            if self._pacer.dollar is not None:
                self.price = self._pacer.dollar * self.scale
        return weight

    def adopt(self, other: Reward) -> None:
        super().adopt(other)
        if isinstance(other, Budget) and other.target == self.target:
            self.price, self._pacer, self._last = other.price, copy.deepcopy(other._pacer), other._last
        elif isinstance(other, Budget):
            self.price = other.price

    def timed_by(self, clock: Callable[[], float]) -> None:
        """Another clock, in seconds, from now on: as in a replay, whose time isn't that of the machine."""
        if self._last is not None:
            self._clock, self._last = clock, clock()

    def _brought(self) -> float | None:
        if self._last is None:
            return None
        now = self._clock()
        seconds, self._last = min(max(now - self._last, 0.0), _KEPT), now
        return self._second * seconds
