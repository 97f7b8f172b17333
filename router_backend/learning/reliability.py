"""How far the scores of a source are to be believed, from answers that both it and somebody have scored.

Of a judge's score s and a person's score h of one answer, s ≈ a + b·h + e: regressed this way round, a and b don't depend on which
answers people choose to score. A judge's score is learned less its bias, E[s] − E[h], with the weight σ² / (σ² + Var(e) / b²): what
its noise adds to the spread σ² of people's scores (errors in variables; Fuller 1987, "Measurement error models", section 1.1).

A signal has one score, so it is regressed on nothing: it is learned as what people give the answers that have it, E[h], with the
weight σ² / (σ² + Var(s − h)).

Sums are by source and task. `_PAIRS` pairs that agree are the prior of a source, and so many like the source's the prior of a task.
A source is therefore believed wholly until somebody has scored what it has scored. Pairs come in the order of the log and count for
what comes after them, so all replicas find the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.statistics.change import VARIANCE
from router_backend.bandits.statistics.fields import Fields, taken
from router_backend.contract import TASK_PLACES, TASKS
from router_backend.core.observations import Observations
from router_backend.core.signals import GRADES, ORDER, Agreement

_PAIRS = 20.0
# Moments 1, s, h, s², s·h, h², |s − h| of a pair that agrees, of scores right or wrong alike.
_AGREED = np.array([1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.0])
_OTHER = TASK_PLACES  # the row of tasks that this classifier doesn't know


class Reliability:
    """The pairs of one log, so far."""

    def __init__(self, tasks: Sequence[str] = TASKS) -> None:
        self._rows = {task: row for row, task in enumerate(tasks)}
        self._sums = np.zeros((len(ORDER), TASK_PLACES + 1, len(_AGREED)))
        self._known: dict[tuple[str, str], tuple[float, float]] = {}  # since the last pair

    def observe(self, source: str, task: str, score: float, given: float) -> None:
        """Count an answer that a source has scored, and somebody has given another score."""
        if source in ORDER:
            moments = [1.0, score, given, score * score, score * given, given * given, abs(score - given)]
            self._sums[ORDER.index(source), self._rows.get(task, _OTHER)] += moments
            self._known.clear()

    def calibrated(self, source: str, task: str, score: float) -> tuple[float, float]:
        """(what a score of a source stands for, its weight)."""
        if not source:
            return score, 1.0
        found = self._known.get((source, task))
        if found is None:
            found = self._known[source, task] = self._of(source, task)
        return score - found[0], found[1]

    def scores(self, seen: Observations) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Qualities and weights [n] that policies learn, each by what was known of its source before; what somebody's scores say of other
        sources is counted."""
        qualities, weights = seen.qualities.copy(), np.ones(len(seen))
        compared: dict[int, list[tuple[str, float]]] = defaultdict(list)
        for place, source, score in seen.judged:
            compared[place].append((source, score))
        sourced = np.flatnonzero(seen.sources.present())
        for place in sorted({*sourced.tolist(), *compared}) if compared else sourced.tolist():
            source = seen.sources.names[seen.sources.codes[place]]
            task, quality = seen.tasks.names[seen.tasks.codes[place]], float(seen.qualities[place])
            if source:
                qualities[place], weights[place] = self.calibrated(source, task, quality)
            else:
                for other, score in compared[place]:
                    self.observe(other, task, score, quality)
        return qualities, weights

    def agreements(self) -> dict[str, Agreement]:
        """Of the sources that somebody has checked, over all tasks."""
        found = {}
        for source, sums in zip(ORDER, self._sums.sum(1), strict=True):
            pairs = float(sums[0])
            if pairs:
                bias, weight = _bias_and_weight(source, _mixed(sums, _AGREED))
                found[source] = Agreement(int(pairs), 1.0 - float(sums[6]) / pairs, bias, weight)
        return found

    def dump(self) -> Fields:
        """The sums, by the places of sources in `ORDER`, and of tasks."""
        return {"sums": self._sums.copy()}

    def load(self, fields: Fields) -> None:
        """Take over what `dump` wrote; FieldsError if it isn't that."""
        self._sums = taken(fields, "sums", *self._sums.shape)
        self._known.clear()

    def adopt(self, other: Reliability) -> None:
        """Take over another's pairs."""
        self._sums = other._sums.copy()
        self._known.clear()

    def _of(self, source: str, task: str) -> tuple[float, float]:
        if source not in ORDER:
            return 0.0, 1.0
        sums = self._sums[ORDER.index(source)]
        if not sums[:, 0].any():
            return 0.0, 1.0
        return _bias_and_weight(source, _mixed(sums[self._rows.get(task, _OTHER)], _mixed(sums.sum(0), _AGREED)))


def _mixed(sums: NDArray[np.float64], prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean moments of some pairs and of `_PAIRS` of the prior's."""
    return np.asarray((sums + _PAIRS * prior) / (sums[0] + _PAIRS))


def _bias_and_weight(source: str, moments: NDArray[np.float64]) -> tuple[float, float]:
    _, s, h, ss, sh, hh, _ = moments.tolist()
    if source in GRADES:
        spread, along = max(hh - h * h, 1e-12), sh - s * h
        slope = along / spread
        noise = max(ss - s * s - slope * along, 0.0)
        if slope <= 0.0:  # it says the opposite, or nothing
            return s - h, 0.0
        noise /= slope * slope
    else:
        noise = max(ss - 2.0 * sh + hh - (s - h) ** 2, 0.0)
    return s - h, VARIANCE / (VARIANCE + noise)
