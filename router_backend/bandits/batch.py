"""Observations that are folded in together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Batch:
    """n observations; what stands at one place of the arrays belongs together."""

    contexts: NDArray[np.float32]  # [n, CONTEXT_DIM]
    arms: NDArray[np.intp]  # [n]
    qualities: NDArray[np.float64]  # [n], people's in [0, 1]; those of a source that was calibrated may lie outside
    # [n, COLUMNS] of their costs; without the prompt at list price, where queries have a `prompt_cost`.
    charges: NDArray[np.float64]
    at: NDArray[np.float64]  # [n] Unix seconds, the times of the decisions
    weights: NDArray[np.float64] | None = None  # [n] by the reliability of their sources; None: 1 each

    def __len__(self) -> int:
        return len(self.at)

    def where(self, rows: NDArray[np.bool_] | slice) -> Batch:
        """The observations at which `rows` [n] is true, or those of a slice."""
        weights = None if self.weights is None else self.weights[rows]
        return Batch(
            self.contexts[rows], self.arms[rows], self.qualities[rows], self.charges[rows], self.at[rows], weights
        )

    def finite(self) -> Batch:
        """Without the observations that hold a number that isn't finite."""
        numbers = np.isfinite(self.qualities) & np.isfinite(self.charges).all(axis=1) & np.isfinite(self.at)
        kept = numbers
        if not np.isfinite(self.contexts.sum()):  # mostly all are, and one sum says so
            kept = numbers & np.isfinite(self.contexts).all(axis=1)
        if self.weights is not None:
            kept &= self.weights > 0.0  # false for NaN too
        return self if kept.all() else self.where(kept)
