"""Base of the policies that learn means of quality and cost per arm and don't read the context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.context import CONTEXT_DIM
from router_backend.bandits.policy import BasePolicy, Setup
from router_backend.bandits.query import Query
from router_backend.config.policy import LearningPolicyConfig

_BIAS = np.array([CONTEXT_DIM])


class ContextFreePolicy(BasePolicy):
    """Holds counts and sums by arm; an arm without observations is expected to have `initial_quality`."""

    def __init__(self, setup: Setup[LearningPolicyConfig]) -> None:
        super().__init__(setup)
        self._initial = setup.config.initial_quality
        self._evidence = np.zeros((3, len(self.arms)))  # Σ w, Σ w quality, Σ w cost
        self._prior = np.zeros((3, len(self.arms)))  # the same, which doesn't decay
        for arm, name in enumerate(self.arms if setup.prior is not None else ()):
            assert setup.prior is not None
            prior = setup.prior.arm(name, _BIAS, setup.config.prior_weight)
            if prior is not None:
                self._prior[:, arm] = prior.count * np.array([1.0, prior.quality, prior.cost])

    @property
    def counts(self) -> NDArray[np.float64]:
        return np.asarray(self._evidence[0] + self._prior[0])

    def qualities(self, query: Query) -> list[float]:
        counts, quality, _ = self.totals(query)
        return self.means(counts, quality)

    def totals(self, query: Query) -> tuple[NDArray[np.float64], NDArray[np.float64], list[float]]:
        """(observations, sum of quality) FP64 [candidates], and expected cost in USD by candidate."""
        candidates = list(query.candidates)
        counts, quality, cost = (self._evidence + self._prior)[:, candidates]
        expected = query.expected_cost[candidates]
        learned = cost / np.maximum(counts, 1.0)
        return counts, quality, np.where(np.isnan(expected), learned, expected).tolist()

    def means(self, counts: NDArray[np.float64], quality: NDArray[np.float64]) -> list[float]:
        """Mean quality by candidate."""
        known = counts > 0
        means: list[float] = np.where(known, quality / np.where(known, counts, 1.0), self._initial).tolist()
        return means

    def _fold(self, context: NDArray[np.float32], arm: int, quality: float, cost: float, weight: float) -> None:
        self._evidence[:, arm] += weight, weight * quality, weight * cost

    def _fold_many(
        self,
        contexts: NDArray[np.float32],
        arm: int,
        qualities: NDArray[np.float64],
        costs: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> None:
        self._evidence[:, arm] += weights.sum(), weights @ qualities, weights @ costs

    def _decay(self, factor: float) -> None:
        self._evidence *= factor

    def _freeze(self, source: Self) -> None:
        self._evidence = source._evidence.copy()

    def _take(self, other: Self, pairs: Sequence[tuple[int, int]]) -> bool:
        for own, others in pairs:
            self._evidence[:, own] = other._evidence[:, others]
        return True
