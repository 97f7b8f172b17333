"""Notices that an arm is no longer what was learned of it.

The generalised likelihood ratio of a shift in an arm's prediction errors (Besson, Kaufmann, Maillard and Seznec 2022, "Efficient
change-point detection for tackling piecewise-stationary bandits", equation 4 and its threshold β, with the prediction in place of
the mean before the change). A regression's one-step errors, each divided by √(1 + xᵀA⁻¹x), are uncorrelated and of one variance σ²
while nothing changes (Brown, Durbin and Evans 1975, "Techniques for testing the constancy of regression relationships over time").
With S the sum of the last n of them, and t observations since the arm began,

    max over n of S² / (2 n σ²)  >  ln(3 t √t / δ)

says that the last n came from another arm than those before, with a probability of about δ that they didn't. Only the latest `WINDOW`
are looked at. An arm's errors come in the order of the log, so all replicas find the same changes.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from router_backend.bandits.batch import Batch
from router_backend.bandits.charges import COLUMNS
from router_backend.bandits.context import CONTEXT_DIM, widened
from router_backend.bandits.statistics.fields import Fields, FieldsError, nested, part, taken

# Observations that are looked back on. A shift of quality by 0.15 shows within them.
WINDOW = 400
# A change is never told from fewer: right-or-wrong scores are far from normal.
_LEAST = 8
# Variance of a right-or-wrong score around what is expected of it.
VARIANCE = 0.2
# Observations that it counts for, until an arm's own errors are known.
_VARIANCE_COUNT = 20.0
_CHARGES = 4  # row of the first one
_ROWS = _CHARGES + COLUMNS
Number = TypeVar("Number", float, NDArray[np.float64])
_DOUBLED = 2.0 * np.arange(_LEAST, WINDOW + 1)


class Change(NamedTuple):
    """An arm that was found changed."""

    at: float  # Unix seconds, the first observation that was of the new one
    observations: int  # that showed it
    shift: float  # of quality, against what was expected


class Errors:
    """One arm's latest observations, with the errors of what was expected."""

    def __init__(self) -> None:
        self._contexts = np.empty((2 * WINDOW, CONTEXT_DIM), np.float32)
        self._values = np.empty((_ROWS, 2 * WINDOW))  # error, quality, at, weight, and the charges
        self._end = 0
        self._count, self._squares = 0.0, 0.0

    def observe(
        self,
        context: NDArray[np.float32],
        quality: float,
        charges: NDArray[np.float64],
        at: float,
        error: float,
        weight: float = 1.0,
    ) -> None:
        if self._end == 2 * WINDOW:
            self._contexts[:WINDOW] = self._contexts[WINDOW:]
            self._values[:, :WINDOW] = self._values[:, WINDOW:]
            self._end = WINDOW
        self._contexts[self._end] = context
        self._values[:_CHARGES, self._end] = error, quality, at, weight
        self._values[_CHARGES:, self._end] = charges
        self._end += 1
        self._count += 1.0
        self._squares += error * error

    def observe_many(self, batch: Batch, errors: NDArray[np.float64], false_alarm: float) -> tuple[int, int]:
        """As `observe` and `changed` in turns, for up to `WINDOW` observations, up to the first that shows a change.

        Returns how many were taken, and how many of the latest are of a changed arm (0: all were taken, and no change shows).
        """
        known = self._values[0, max(0, self._end - WINDOW) : self._end]
        sums = np.concatenate([[0.0], np.concatenate([known, errors]).cumsum()])
        counts = self._count + 1.0 + np.arange(len(errors))
        squares = self._squares + (errors * errors).cumsum()
        limits = np.log(3.0 * counts**1.5 / false_alarm) * _variance(counts, squares)
        n, changed = len(errors), 0
        if not _surely_none(sums, limits):
            ratios = _ratios(sums, len(errors))
            shown = np.flatnonzero((ratios > limits[:, None]).any(1))
            if len(shown):
                n = int(shown[0]) + 1
                changed = _LEAST + int(np.nanargmax(ratios[n - 1, ::-1]))
        self._keep(batch, errors, n)
        self._count, self._squares = self._count + n, float(squares[n - 1]) if n else self._squares
        return n, changed

    def _keep(self, batch: Batch, errors: NDArray[np.float64], n: int) -> None:
        """The first n (at most `WINDOW`) of these are the latest."""
        if self._end + n > 2 * WINDOW:
            kept = slice(self._end - WINDOW, self._end)
            self._contexts[:WINDOW], self._values[:, :WINDOW] = (
                self._contexts[kept].copy(),
                self._values[:, kept].copy(),
            )
            self._end = WINDOW
        rows = slice(self._end, self._end + n)
        self._contexts[rows] = batch.contexts[:n]
        weights = np.ones(n) if batch.weights is None else batch.weights[:n]
        self._values[:_CHARGES, rows] = errors[:n], batch.qualities[:n], batch.at[:n], weights
        self._values[_CHARGES:, rows] = batch.charges[:n].T
        self._end += n

    def changed(self, false_alarm: float) -> int:
        """How many of the latest observations are of a changed arm; 0: no change shows."""
        errors = self._values[0, max(0, self._end - WINDOW) : self._end]
        if len(errors) < _LEAST:
            return 0
        sums = errors[::-1].cumsum()[_LEAST - 1 :]
        ratios = sums * sums / _DOUBLED[: len(sums)]
        most = int(ratios.argmax())
        variance = _variance(self._count, self._squares)
        threshold = math.log(3.0 * self._count**1.5 / false_alarm)
        return most + _LEAST if ratios[most] > threshold * variance else 0

    def dump(self) -> Fields:
        rows = slice(max(0, self._end - WINDOW), self._end)
        return {
            "contexts": self._contexts[rows].copy(),
            "values": self._values[:, rows].copy(),
            "totals": np.array([self._count, self._squares]),
        }

    @classmethod
    def loaded(cls, fields: Fields) -> Errors:
        """What `dump` wrote; FieldsError if it isn't that."""
        values = taken(fields, "values", _ROWS, -1)
        if values.shape[1] > WINDOW:
            raise FieldsError(f"values of {values.shape[1]} observations, more than {WINDOW}")
        errors, n = cls(), values.shape[1]
        contexts = fields.get("contexts")
        if contexts is not None:
            fields = {**fields, "contexts": widened(contexts)}
        errors._contexts[:n] = taken(fields, "contexts", n, CONTEXT_DIM)
        errors._values[:, :n] = values
        errors._end = n
        errors._count, errors._squares = taken(fields, "totals", 2).tolist()
        return errors

    def latest(self, n: int) -> tuple[Batch, float]:
        """The last n observations, and the mean of their errors."""
        rows = slice(self._end - n, self._end)
        error, quality, at, weights, *charges = self._values[:, rows].copy()
        arms = np.zeros(n, np.intp)
        batch = Batch(self._contexts[rows].copy(), arms, quality, np.column_stack(charges), at, weights)
        return batch, float(error.mean())


def _ratios(sums: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """[n, WINDOW − _LEAST + 1]: of the last n of these sums, S² / 2m for the last m observations, from `WINDOW` down to `_LEAST`; NaN where
    there are fewer."""
    padded = np.concatenate([np.full(WINDOW, np.nan), sums])
    at = len(padded) - n + np.arange(n)  # position of the sum up to each of them
    before = sliding_window_view(padded, WINDOW - _LEAST + 1)[at - WINDOW]
    return np.asarray((padded[at, None] - before) ** 2 / _DOUBLED[::-1])


def _surely_none(sums: NDArray[np.float64], limits: NDArray[np.float64]) -> bool:
    """Whether no ratio of the latest observations can be over its limit, by a bound that costs a tenth of the ratios: of all windows of m to 2m
    observations the largest S² over 2m."""
    n, size = len(limits), 1
    padded = np.concatenate([np.full(2 * WINDOW, sums[0]), sums])
    now, at = padded[-n:], len(padded) - n + np.arange(n)
    highest = lowest = padded  # of the `size` sums from each place on
    while size <= WINDOW:
        if size >= _LEAST:
            begins = at - 2 * size + 1
            most = np.maximum(highest[begins] - now, now - lowest[begins])
            if (most * most > 2.0 * size * limits).any():
                return False
        highest = np.maximum(highest[:-size], highest[size:])
        lowest = np.minimum(lowest[:-size], lowest[size:])
        size *= 2
    return True


def _variance(count: Number, squares: Number) -> Number:
    """Of errors, of which there are so many with such a sum of squares."""
    return (VARIANCE * _VARIANCE_COUNT + squares) / (_VARIANCE_COUNT + count)


class ChangeDetector:
    """The errors of all arms, and the changes that they have shown. For one writer an arm; `found` is replaced, never changed."""

    def __init__(self, arms: int, false_alarm: float) -> None:
        """`false_alarm`: probability that an arm which never changes is ever found changed; 0: nothing is looked for."""
        self.false_alarm = false_alarm
        self.found: tuple[tuple[Change, ...], ...] = ((),) * arms
        self._errors: list[Errors | None] = [None] * arms
        self._noting = threading.Lock()

    def observe(
        self,
        arm: int,
        context: NDArray[np.float32],
        quality: float,
        charges: NDArray[np.float64],
        at: float,
        error: float,
        weight: float = 1.0,
    ) -> Batch | None:
        """Count an observation and its error. If it shows a change: the observations since."""
        errors = self._of(arm)
        errors.observe(context, quality, charges, at, error, weight)
        n = errors.changed(self.false_alarm)
        return self._found(arm, errors, n) if n else None

    def observe_many(self, arm: int, batch: Batch, errors: NDArray[np.float64]) -> tuple[int, Batch | None]:
        """As `observe`, for up to `WINDOW` observations of an arm, up to the first that shows a change; how many were counted."""
        of_arm = self._of(arm)
        taken, n = of_arm.observe_many(batch, errors, self.false_alarm)
        return taken, self._found(arm, of_arm, n) if n else None

    def _of(self, arm: int) -> Errors:
        errors = self._errors[arm]
        if errors is None:
            errors = self._errors[arm] = Errors()
        return errors

    def _found(self, arm: int, errors: Errors, n: int) -> Batch:
        """Note that the last n observations are of a changed arm; these."""
        since, shift = errors.latest(n)
        change = Change(float(since.at.min()), n, shift)
        with self._noting:
            self.found = tuple((*found, change) if i == arm else found for i, found in enumerate(self.found))
        self._errors[arm] = None
        return since

    def forget(self, arm: int) -> None:
        """Of an arm that is known to be another one from now on."""
        self._errors[arm] = None

    def dump(self) -> Fields:
        changes = [(arm, *change) for arm, found in enumerate(self.found) for change in found]
        fields: Fields = {"found": np.array(changes, np.float64).reshape(-1, 4)}
        for arm, errors in enumerate(self._errors):
            if errors is not None:
                fields |= nested(str(arm), errors.dump())
        return fields

    def load(self, fields: Fields) -> None:
        """Take over what `dump` wrote; FieldsError if it isn't that."""
        found: list[tuple[Change, ...]] = [()] * len(self._errors)
        for arm, at, observations, shift in taken(fields, "found", -1, 4).tolist():
            if arm not in range(len(found)):
                raise FieldsError(f"found: no arm {arm:g}")
            found[int(arm)] += (Change(at, int(observations), shift),)
        kept = [part(str(arm), fields) for arm in range(len(found))]
        self._errors = [Errors.loaded(errors) if errors else None for errors in kept]
        self.found = tuple(found)

    def adopt(self, other: ChangeDetector, pairs: Sequence[tuple[int, int]]) -> bool:
        """Take over arms, as (own, other's) pairs; False if the other looks with another probability."""
        if other.false_alarm != self.false_alarm:
            return False
        found = list(self.found)
        for own, others in pairs:
            found[own], self._errors[own] = other.found[others], other._errors[others]
        self.found = tuple(found)
        return True
