"""The arms' ridge regressions as a policy reads them: as they are now, or as they were at its snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.statistics.ridge import Array, RidgeArms

# With at most so many arms a snapshot joins their blocks, so that one product serves all. More would cost too much to copy.
_STACKED = 8

# Observations after which an arm's learned cost counts for as much as the estimate by task. With fewer than 50 it is better on
# some data and worse on other, with more on all (docs/replay.md).
_TRUST = 50.0


Predictions = tuple[list[float], list[float], list[float]]
"""For one context, by candidate: quality, xᵀA⁻¹x (rounding may leave a tiny negative one), and USD as learned. A plain
tuple: making one with names would cost a tenth of a choice's calls."""


class LiveRegressions:
    """Reads the regressions that updates write to."""

    dtype: np.dtype[np.floating[Any]] = np.dtype(np.float64)

    def __init__(self, ridge: RidgeArms) -> None:
        self._ridge = ridge

    @property
    def counts(self) -> Array:
        return self._ridge.counts

    @property
    def trust(self) -> list[float]:
        """Weight of each arm's learned cost."""
        return _trust(self._ridge.evidence)

    def predict(self, x: NDArray[Any], candidates: Sequence[int]) -> Predictions:
        """At a context `x` [dim] of `dtype`."""
        dim = self._ridge.dim
        vectors = [self._ridge.block(arm).dot(x) for arm in candidates]
        return (
            [vector.item(dim) for vector in vectors],
            [float(vector[:dim].dot(x)) for vector in vectors],
            [float(self._ridge.cost(arm).dot(x)) for arm in candidates],
        )

    def qualities(self, contexts: Array, candidates: Sequence[int]) -> Array:
        """Quality [n, candidates] at contexts [n, dim]."""
        qualities: Array = contexts @ np.stack([self._ridge.block(arm)[self._ridge.dim] for arm in candidates], axis=1)
        return qualities


class FrozenRegressions:
    """The regressions as they were when this was made, in FP32: reading them is nearly all that a choice costs."""

    dtype: np.dtype[np.floating[Any]] = np.dtype(np.float32)

    def __init__(self, ridge: RidgeArms) -> None:
        self.counts = ridge.counts.copy()
        self.trust = _trust(ridge.evidence)
        self._dim = ridge.dim
        self._blocks = ridge.publish()
        # The blocks side by side, transposed: [dim, arms · (dim + 2)], all A⁻¹ and then all θ of quality and of cost. BLAS is a
        # third faster this way round.
        self._stack = self._joined() if len(self._blocks) <= _STACKED else None

    def predict(self, x: NDArray[Any], candidates: Sequence[int]) -> Predictions:
        """At a context `x` [dim] of `dtype`."""
        dim, arms = self._dim, len(self._blocks)
        if self._stack is not None and len(candidates) == arms:
            products = x.dot(self._stack)
            means = products[arms * dim :].tolist()
            squares = products[: arms * dim].reshape(arms, dim).dot(x).tolist()
            return means[:arms], squares, means[arms:]
        vectors = [self._blocks[arm].dot(x) for arm in candidates]
        return (
            [vector.item(dim) for vector in vectors],
            [float(vector[:dim].dot(x)) for vector in vectors],
            [vector.item(dim + 1) for vector in vectors],
        )

    def qualities(self, contexts: Array, candidates: Sequence[int]) -> Array:
        """Quality [n, candidates] at contexts [n, dim]."""
        return np.asarray(contexts @ np.stack([self._blocks[arm][self._dim] for arm in candidates], axis=1))

    def _joined(self) -> NDArray[np.float32]:
        dim, arms = self._dim, len(self._blocks)
        stack = np.empty((dim, arms * (dim + 2)), np.float32)
        for arm, block in enumerate(self._blocks):
            stack[:, arm * dim : (arm + 1) * dim] = block[:dim]  # A⁻¹ is its own transpose
            stack[:, arms * dim + arm] = block[dim]
            stack[:, arms * (dim + 1) + arm] = block[dim + 1]
        return stack


def _trust(evidence: Array) -> list[float]:
    weights: list[float] = (evidence / (evidence + _TRUST)).tolist()
    return weights
