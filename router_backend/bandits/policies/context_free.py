"""The policies that learn means of quality and cost per arm and don't read the context: UCB1, Thompson, epsilon-greedy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.batch import Batch
from router_backend.bandits.charges import COLUMNS, USD, rates
from router_backend.bandits.context import CONTEXT_DIM
from router_backend.bandits.policy import Policy, Setup
from router_backend.bandits.query import Query, Scores
from router_backend.bandits.statistics.change import VARIANCE
from router_backend.bandits.statistics.fields import Fields, taken
from router_backend.config.policy import LearningPolicyConfig, UCB1PolicyConfig

_BIAS = np.array([CONTEXT_DIM])
_CHARGES = 2  # row of the first one
_ROWS = _CHARGES + COLUMNS


class ContextFreePolicy(Policy):
    """Base: holds counts and sums by arm; an arm without observations is expected to have `initial_quality`."""

    def __init__(self, setup: Setup[LearningPolicyConfig]) -> None:
        super().__init__(setup)
        self._initial = setup.config.initial_quality
        self._rates = rates(setup.models)
        self._evidence = np.zeros((_ROWS, len(self.arms)))  # Σ w, Σ w quality, Σ w of each charge
        self._prior = np.zeros((_ROWS, len(self.arms)))  # the same, which doesn't decay
        self._restarted = [False] * len(self.arms)  # whose prior is what they were before
        for arm, name in enumerate(self.arms if setup.prior is not None else ()):
            assert setup.prior is not None
            prior = setup.prior.arm(name, _BIAS, setup.config.prior_weight)
            if prior is not None:
                self._prior[:_CHARGES, arm] = prior.count, prior.count * prior.quality
                self._prior[_CHARGES + USD, arm] = prior.count * prior.cost

    @property
    def counts(self) -> NDArray[np.float64]:
        return np.asarray(self._evidence[0] + self._prior[0])

    def qualities(self, query: Query) -> list[float]:
        counts, quality, _ = self.totals(query)
        return self.means(counts, quality)

    def standard_errors(self, query: Query) -> list[float]:
        counts = self.counts[list(query.candidates)]
        errors: list[float] = np.sqrt(VARIANCE / np.maximum(counts, 1.0)).tolist()
        return errors

    def totals(self, query: Query) -> tuple[NDArray[np.float64], NDArray[np.float64], list[float]]:
        """(observations, sum of quality) FP64 [candidates], and expected cost in USD by candidate."""
        candidates = list(query.candidates)
        counts, quality, *charges = (self._evidence + self._prior)[:, candidates]
        expected = query.expected_cost[candidates]
        learned = (self._rates[candidates].T * charges).sum(0) / np.maximum(counts, 1.0)
        return counts, quality, np.where(np.isnan(expected), learned, expected).tolist()

    def means(self, counts: NDArray[np.float64], quality: NDArray[np.float64]) -> list[float]:
        """Mean quality by candidate."""
        known = counts > 0
        means: list[float] = np.where(known, quality / np.where(known, counts, 1.0), self._initial).tolist()
        return means

    def _fold(
        self, context: NDArray[np.float32], arm: int, quality: float, charges: NDArray[np.float64], weight: float
    ) -> float:
        # The first mean is known as if from one observation, so that the first errors aren't all of the arm's.
        known, total = self._evidence[:_CHARGES, arm] + self._prior[:_CHARGES, arm]
        expected = (total + self._initial) / (known + 1.0)
        self._evidence[:, arm] += weight * np.array([1.0, quality, *charges])
        return float((quality - expected) / math.sqrt(1.0 + 1.0 / (known + 1.0)))

    def _foreseen(
        self, arm: int, batch: Batch, weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], Callable[[], None]]:
        known, total = self._evidence[:_CHARGES, arm] + self._prior[:_CHARGES, arm]
        counts = known + weights.cumsum() - weights
        totals = total + (weights * batch.qualities).cumsum() - weights * batch.qualities
        expected = (totals + self._initial) / (counts + 1.0)
        errors = np.asarray((batch.qualities - expected) / np.sqrt(1.0 + 1.0 / (counts + 1.0)))
        return errors, lambda: self._fold_many(arm, batch, weights)

    def _fold_many(self, arm: int, batch: Batch, weights: NDArray[np.float64]) -> None:
        self._evidence[:, arm] += weights.sum(), weights @ batch.qualities, *(weights @ batch.charges)

    def _restart(self, arm: int, keep: float, level: bool) -> None:
        total = self._evidence[:, arm] + self._prior[:, arm]
        self._prior[:, arm] = total * min(1.0, (keep if level else 1.0) / max(total[0], 1e-12))
        self._evidence[:, arm] = 0.0
        self._restarted[arm] = True

    def _decay(self, factor: float) -> None:
        self._evidence *= factor

    def _freeze(self, source: Self) -> None:
        self._evidence, self._prior = source._evidence.copy(), source._prior.copy()

    def _take(self, other: Self, pairs: Sequence[tuple[int, int]]) -> bool:
        for own, others in pairs:
            self._evidence[:, own] = other._evidence[:, others]
            if other._restarted[others]:
                self._prior[:, own], self._restarted[own] = other._prior[:, others], True
        return True

    def _dump(self) -> Fields:
        return {
            "evidence": self._evidence.copy(),
            "restarted": np.array(self._restarted),
            "prior": self._prior[:, self._restarted],
        }

    def _load(self, fields: Fields) -> None:
        arms = len(self.arms)
        evidence, restarted = taken(fields, "evidence", _ROWS, arms), taken(fields, "restarted", arms).astype(bool)
        prior = taken(fields, "prior", _ROWS, int(restarted.sum()))
        self._evidence, self._restarted = evidence, restarted.tolist()
        self._prior[:, restarted] = prior


class UCB1(ContextFreePolicy):
    """UCB1 (Auer et al. 2002, "Finite-time analysis of the multiarmed bandit problem").

    Reward of mean quality + α·√(2 ln N / n), with N all observations.

    An arm without observations counts as seen once: feedback may be days late, and an infinite bound would
    send it all requests until then.
    """

    def __init__(self, setup: Setup[UCB1PolicyConfig]) -> None:
        super().__init__(setup)
        self._alpha = setup.config.alpha

    def scores(self, query: Query) -> Scores:
        counts, quality, cost = self.totals(query)
        everything = max(float(self.counts.sum()), 1.0)
        widths = self._alpha * np.sqrt(2.0 * math.log(everything) / np.maximum(counts, 1.0))
        means, bonuses = self.reward.score(self.means(counts, quality), widths.tolist(), cost)
        return Scores([mean + bonus for mean, bonus in zip(means, bonuses, strict=True)], means, bonuses, cost)


class Thompson(ContextFreePolicy):
    """Thompson sampling with Beta posteriors (Agrawal and Goyal 2012, algorithm 2, with fractional successes).

    Reward of a quality drawn from Beta(1 + Σ quality, 1 + Σ (1 − quality)).

    A quality between 0 and 1 counts as that fraction of a success: the mean is the same as under the randomised rounding of the
    paper, without its noise.
    """

    stochastic = True

    def scores(self, query: Query) -> Scores:
        """Expected rewards, as values and as means; the bonus is one standard deviation's."""
        successes, failures, cost = self._posterior(query)
        total = successes + failures
        quality = successes / total
        deviation = np.sqrt(quality * (1.0 - quality) / (total + 1.0))
        means, bonuses = self.reward.score(quality.tolist(), deviation.tolist(), cost)
        return Scores(means, means, bonuses, cost)

    def draw(self, query: Query, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        successes, failures, cost = self._posterior(query)
        return self.reward.sampled(rng.beta(successes, failures, (size, len(cost))), np.array(cost))

    def _posterior(self, query: Query) -> tuple[NDArray[np.float64], NDArray[np.float64], list[float]]:
        counts, quality, cost = self.totals(query)
        return 1.0 + np.maximum(quality, 0.0), 1.0 + np.maximum(counts - quality, 0.0), cost


class EpsilonGreedy(ContextFreePolicy):
    """The best mean so far, and with probability `epsilon` any candidate.

    The random part is the exploration floor that every policy has (selection.py).
    """

    def scores(self, query: Query) -> Scores:
        counts, quality, cost = self.totals(query)
        means, bonuses = self.reward.score(self.means(counts, quality), [0.0] * len(cost), cost)
        return Scores(means, means, bonuses, cost)
