"""A prior out of the archive: what a deployment has learned, for another one to begin with.

Sums alone are kept, by arm and by fifths of the log, so that memory doesn't grow with the archive, and the ridge penalty is
cross-validated on them: with A and b of a fifth, and θ of the others, its squared errors sum to Σy² − 2θᵀb + θᵀAθ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.context import CONTEXT_DIM, EARLIER_DIM, prompt_tokens_of, widened
from router_backend.bandits.costs import CostModel, OutputLengths
from router_backend.bandits.statistics.prior import DIM, Prior
from router_backend.config.models import ModelConfig
from router_backend.core.observations import Observations
from router_backend.lab.replay.bootstrap import FOLDS, RIDGES

Floats = NDArray[np.float64]
_LEAST = 50  # observations of an arm, for a prior of it


class ArchivedSums:
    """Of observations of one embedding space."""

    def __init__(self, models: Sequence[ModelConfig], space: int) -> None:
        names = [model.name for model in models]
        self._names, self._space = names, space
        self._costs = CostModel(models, OutputLengths(names))
        # [fifths, arms, DIM + 2, DIM + 2]: products of (x, quality, cost) with themselves
        self._sums = np.zeros((FOLDS, len(names), DIM + 2, DIM + 2))

    def add(self, seen: Observations, start: float = 0.0) -> None:
        """Those that were decided since a time."""
        arms = seen.arms.places({name: place for place, name in enumerate(self._names)})
        usable = (arms >= 0) & (seen.spaces == self._space) & (seen.at >= start)
        usable &= np.isin(seen.lengths, (CONTEXT_DIM, EARLIER_DIM)) & np.isfinite(seen.qualities + seen.costs)
        seen, arms = seen.where(usable), arms[usable]
        if not len(seen):
            return
        contexts = widened(seen.contexts)
        tokens = np.where(np.isnan(seen.completion_tokens), prompt_tokens_of(contexts), 0.0)
        costs = self._costs.beyond_prompts(arms, seen.completion_tokens, seen.reasoning_tokens, seen.costs, tokens)
        rows = np.column_stack([contexts, np.ones(len(seen)), seen.qualities, costs]).astype(np.float64)
        fifths = seen.sequences % FOLDS
        for fifth in range(FOLDS):
            for arm in np.unique(arms):
                of_arm = rows[(fifths == fifth) & (arms == arm)]
                self._sums[fifth, arm] += of_arm.T @ of_arm

    @property
    def counts(self) -> dict[str, int]:
        """Observations by arm."""
        return dict(zip(self._names, self._sums.sum(0)[:, DIM - 1, DIM - 1].astype(int).tolist(), strict=True))

    def prior(self, ridge: float | None = None) -> Prior:
        """Of the arms with enough observations.

        Raises:
            ValueError: none has.
        """
        arms = [arm for arm, name in enumerate(self._names) if self.counts[name] >= _LEAST]
        if not arms:
            raise ValueError(
                f"the archive has fewer than {_LEAST} observations of each model in embedding space {self._space}: name the"
                " configuration and the classifier that they were made with (--config, --context)"
            )
        sums = self._sums[:, arms]
        total = sums.sum(0)
        chosen = _best(sums, DIM, np.ones(len(arms))) if ridge is None else ridge
        levels = np.maximum(np.abs(total[:, DIM - 1, DIM + 1]) / total[:, DIM - 1, DIM - 1], 1e-12)
        return Prior(
            tuple(self._names[arm] for arm in arms),
            total[:, :DIM, :DIM].copy(),
            total[:, DIM, :DIM].copy(),
            total[:, DIM + 1, :DIM].copy(),
            chosen,
            self._space,
            _best(sums, DIM + 1, levels),
        )


def prior_of(
    parts: Iterable[Observations], models: Sequence[ModelConfig], space: int, start: float = 0.0
) -> ArchivedSums:
    """The sums of all parts."""
    sums = ArchivedSums(models, space)
    for seen in parts:
        sums.add(seen, start)
    return sums


def _best(sums: Floats, column: int, scales: Floats) -> float:
    """The penalty that predicts a column best on fifths held out; arms' errors over their `scales`."""
    total, errors = sums.sum(0), np.zeros(len(RIDGES))
    for held in sums:
        for arm, scale in enumerate(scales):
            known, of = total[arm] - held[arm], held[arm]
            for place, ridge in enumerate(RIDGES):
                penalty = np.append(np.full(DIM - 1, ridge), 1e-9)  # the bias isn't shrunk
                theta = np.linalg.solve(known[:DIM, :DIM] + np.diag(penalty), known[column, :DIM])
                missed = of[column, column] - 2.0 * theta @ of[column, :DIM] + theta @ of[:DIM, :DIM] @ theta
                errors[place] += missed / scale**2
    return RIDGES[int(errors.argmin())]
