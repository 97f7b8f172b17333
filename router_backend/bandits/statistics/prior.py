"""The prior file that `llm-router bootstrap` writes and `policy.prior` names.

An uncompressed `.npz` (numpy, no pickles) with sums over a benchmark's training split, in the full context layout of
bandits.context with the bias of 1 behind it (DIM = CONTEXT_DIM + 1), so that one file serves any number of components:

    version      INT64 []                 1
    space        INT64 []                 embedding space of the contexts; 0: any
    ridge        FP64  []                 penalty that the fit below uses for quality; chosen by cross-validation
    cost_ridge   FP64  []                 the same for cost; `ridge` in files that lack it
    arms         STR   [arms]             model names; those that aren't configured are passed over
    precision    FP64  [arms, DIM, DIM]   Σ x xᵀ
    quality      FP64  [arms, DIM]        Σ quality·x
    cost         FP64  [arms, DIM]        Σ cost·x, USD

The bias makes the counts and plain sums part of it: precision[-1, -1] is n, quality[-1] is Σ quality. A prior mean of another
origin (a head trained apart) is written as quality = (precision + penalty) · mean, the penalty being ridge on the
diagonal and 0 for the bias.

A policy takes as prior mean the ridge fit m = (precision + penalty)⁻¹ quality over its own view, of cost likewise, and as prior precision
min(1, prior_weight / n) · precision: capping the weight makes the prior quicker to forget, not less accurate.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.context import CONTEXT_DIM, STEP

VERSION = 1
DIM = CONTEXT_DIM + 1

Array = NDArray[np.float64]


class PriorError(ValueError):
    """A prior file that can't be used; says why and what to do."""


@dataclass(frozen=True, slots=True)
class ArmPrior:
    """One arm's prior in a policy's view."""

    precision: Array  # [dim, dim], capped
    means: Array  # [2, dim]: of quality and of cost; [1, dim] of a prior without costs
    count: float  # observations it counts for, capped
    quality: float  # plain mean
    cost: float  # plain mean, USD


@dataclass(frozen=True, slots=True)
class Prior:
    """The file's content."""

    arms: tuple[str, ...]
    precision: Array  # [arms, DIM, DIM]
    quality: Array  # [arms, DIM]
    cost: Array  # [arms, DIM]
    ridge: float
    space: int = 0
    cost_ridge: float | None = None  # None: `ridge`
    with_costs: bool = True  # False: what the benchmark's answers cost is passed over

    @classmethod
    def fit(
        cls,
        arms: Sequence[str],
        contexts: NDArray[np.float32],
        qualities: Array,
        costs: Array,
        ridge: float,
        space: int = 0,
        cost_ridge: float | None = None,
    ) -> Prior:
        """Sums over n full-information rows: contexts [n, CONTEXT_DIM], qualities and costs [n, arms], NaN where unknown."""
        x = np.column_stack([contexts.astype(np.float64), np.ones(len(contexts))])
        precision = np.zeros((len(arms), DIM, DIM))
        sums = np.zeros((2, len(arms), DIM))
        for arm in range(len(arms)):
            known = np.isfinite(qualities[:, arm]) & np.isfinite(costs[:, arm])
            rows = x[known]
            precision[arm] = rows.T @ rows
            sums[0, arm], sums[1, arm] = qualities[known, arm] @ rows, costs[known, arm] @ rows
        return cls(tuple(arms), precision, sums[0], sums[1], ridge, space, cost_ridge)

    def arm(self, name: str, view: NDArray[np.intp], weight: float) -> ArmPrior | None:
        """The prior of an arm for the positions `view` of the full layout, bias included; None if the file has none.

        `weight` is the number of observations that it may count for.
        """
        if name not in self.arms:
            return None
        i = self.arms.index(name)
        count = float(self.precision[i, -1, -1])
        if count <= 0 or weight <= 0:
            return None
        precision = self.precision[i][np.ix_(view, view)]
        means = [_fit(precision, self.quality[i, view], self.ridge)]
        if self.with_costs:
            means.append(
                _fit(precision, self.cost[i, view], self.ridge if self.cost_ridge is None else self.cost_ridge)
            )
        scale = min(1.0, weight / count)
        return ArmPrior(
            precision * scale,
            np.stack(means),
            count * scale,
            float(self.quality[i, -1]) / count,
            float(self.cost[i, -1]) / count,
        )

    def digest(self) -> str:
        """SHA-256 of all that it says."""
        numbers = [self.space, self.ridge, self.cost_ridge, self.with_costs]
        digest = hashlib.sha256(repr([self.arms, numbers]).encode())
        for array in (self.precision, self.quality, self.cost):
            digest.update(np.ascontiguousarray(array, np.float64).tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write the file."""
        with path.open("wb") as file:
            np.savez(
                file,
                version=np.int64(VERSION),
                space=np.int64(self.space),
                ridge=np.float64(self.ridge),
                cost_ridge=np.float64(self.ridge if self.cost_ridge is None else self.cost_ridge),
                arms=np.array(self.arms),
                precision=self.precision,
                quality=self.quality,
                cost=self.cost,
            )

    @classmethod
    def load(cls, path: Path) -> Prior:
        """Read and check a file.

        Raises:
            PriorError: not readable, not a prior, of another version or context layout, or with numbers that aren't finite.
        """
        try:
            with path.open("rb") as file, zipfile.ZipFile(file):  # `np.load` would also read other kinds of file
                file.seek(0)
                with np.load(file, allow_pickle=False) as data:
                    fields = {name: data[name] for name in data.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise PriorError(f"{path}: can't be read ({error}); write it with `llm-router bootstrap`") from error
        missing = {"version", "space", "ridge", "arms", "precision", "quality", "cost"} - fields.keys()
        if missing:
            raise PriorError(f"{path}: no '{min(missing)}' in it; write it with `llm-router bootstrap`")
        if int(fields["version"]) != VERSION:
            raise PriorError(f"{path}: version {fields['version']} isn't {VERSION}; run `llm-router bootstrap` again")
        arms = tuple(str(arm) for arm in fields["arms"])
        if fields["precision"].shape[-1] == DIM - STEP:  # of before steps of a loop were part of the context
            fields |= {name: _widened(fields[name]) for name in ("precision", "quality", "cost")}
        shapes = fields["precision"].shape, fields["quality"].shape, fields["cost"].shape
        if shapes != ((len(arms), DIM, DIM), (len(arms), DIM), (len(arms), DIM)):
            raise PriorError(f"{path}: another context layout than this version's; run `llm-router bootstrap` again")
        fields.setdefault("cost_ridge", fields["ridge"])
        if not all(np.isfinite(fields[name]).all() for name in ("ridge", "cost_ridge", "precision", "quality", "cost")):
            raise PriorError(f"{path}: holds numbers that aren't finite; run `llm-router bootstrap` again")
        if not min(float(fields["ridge"]), float(fields["cost_ridge"])) > 0:
            raise PriorError(f"{path}: its ridge penalty must be positive; run `llm-router bootstrap` again")
        return cls(
            arms,
            fields["precision"],
            fields["quality"],
            fields["cost"],
            float(fields["ridge"]),
            int(fields["space"]),
            float(fields["cost_ridge"]),
        )


def _widened(sums: Array) -> Array:
    """Sums [arms, …] of contexts without the step of a loop in today's layout: in front of the bias, nothing was seen."""
    at = [DIM - STEP - 1] * STEP
    for axis in range(1, sums.ndim):
        sums = np.insert(sums, at, 0.0, axis=axis)
    return sums


def _fit(precision: Array, sums: Array, ridge: float) -> Array:
    """The bias isn't shrunk: arms keep their mean levels, whatever the penalty."""
    penalty = np.diag(np.append(np.full(len(precision) - 1, ridge), 0.0))
    return np.asarray(np.linalg.solve(precision + penalty, sums))
