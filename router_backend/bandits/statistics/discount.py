"""Discounting of evidence by the time of its event.

An observation made at `t` weighs γ^((T − t)/day) at time T. Since T cancels out of every ratio, sums are kept relative to
a reference time and rescaled when it moves. The reference is the latest event's time, rounded down to a period, so
it is the same whatever the order of arrival, and so are the sums (up to rounding). The prior is outside and doesn't decay.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.statistics.fields import Fields, taken

DAY = 86_400.0
# The reference moves when evidence has lost this much: each move costs a factorisation per arm.
_STEP = 0.02


class Discount:
    """`per_day` is γ, the weight kept after a day; 1 keeps everything."""

    def __init__(self, per_day: float) -> None:
        self._rate = -math.log(per_day) / DAY  # per second
        self._period = -math.log1p(-_STEP) / self._rate if self._rate > 0 else math.inf
        self._reference: float | None = None

    def advance(self, at: float) -> float:
        """Move the reference up to an event's time; the factor by which the sums so far must be multiplied (1: none)."""
        if self._rate == 0:
            return 1.0
        reference = math.floor(at / self._period) * self._period
        if self._reference is None:
            self._reference = reference
            return 1.0
        if reference <= self._reference:
            return 1.0
        factor = math.exp(-self._rate * (reference - self._reference))
        self._reference = reference
        return factor

    def runs(self, at: NDArray[np.float64]) -> list[slice]:
        """Events [n] in parts between which `advance` moves the reference, and within which it doesn't."""
        if self._rate == 0 or not len(at):
            return [slice(0, len(at))]
        references = np.maximum.accumulate(np.floor(at / self._period))
        cuts = [0, *(np.flatnonzero(np.diff(references)) + 1).tolist(), len(at)]
        return [slice(start, end) for start, end in pairwise(cuts)]

    def weight(self, at: float) -> float:
        """Weight of an event at the reference; a little over 1 within the current period. `advance` first."""
        return 1.0 if self._reference is None else math.exp(self._rate * (at - self._reference))

    def weights(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `weight`, [n]."""
        return np.ones(len(at)) if self._reference is None else np.exp(self._rate * (at - self._reference))

    def dump(self) -> Fields:
        """The reference, [1], or [0] before the first event."""
        return {"reference": np.array([] if self._reference is None else [self._reference])}

    def load(self, fields: Fields) -> None:
        """Take over what `dump` wrote; FieldsError if it isn't that."""
        reference = taken(fields, "reference", -1)
        self._reference = float(reference[0]) if len(reference) else None

    def follow(self, other: Discount) -> bool:
        """Take over another's reference; False if it discounts otherwise."""
        if other._rate != self._rate:
            return False
        self._reference = other._reference
        return True
