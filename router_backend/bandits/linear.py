"""Base of the policies that learn a ridge regression per arm on the context."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from router_backend.bandits.base import BasePolicy, Setup
from router_backend.bandits.protocol import Query
from router_backend.bandits.ridge import RidgeArms
from router_backend.config.policy import TaskRule
from router_backend.contract import EMBEDDING_DIM, TASKS
from router_backend.routing.context import CONTEXT_DIM, view, view_indices

# With at most so many arms a snapshot joins their blocks, so that one product serves all. More would cost too much to copy.
_STACKED = 8

# Quality by which the table's model is expected to beat the others at its task; more than any usual λ takes away.
TABLE_LEAN = 0.3


class LinearPolicy(BasePolicy):
    """Holds the regressions; subclasses say how estimates and widths become scores.

    Cost at the moment of the choice is `Query.expected_cost` (the prompt's tokens at list price and the arm's usual length
    of answer for the task): it is exact in what is known beforehand and right from the first request. The learned regression of cost
    stands in where it is unknown (NaN), as in logs without token counts.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        config = setup.config
        self.alpha = config.alpha
        self._components = config.components
        self._positions = view_indices(config.components)
        self.dim = len(self._positions) + 1
        self._ridge = RidgeArms(len(self.arms), self.dim, config.ridge, config.initial_quality)
        if setup.prior is None and config.table:
            self._lean_on(config.table, config.initial_quality)
        if setup.prior is not None:
            bias_included = np.append(self._positions, CONTEXT_DIM)
            for arm, name in enumerate(self.arms):
                prior = setup.prior.arm(name, bias_included, config.prior_weight)
                if prior is not None:
                    self._ridge.set_prior(arm, prior.precision, prior.means, prior.count)
        self._blocks: Sequence[NDArray[np.floating[Any]]] = self._ridge.blocks  # FP64; a snapshot's FP32
        self._counts = self._ridge.counts
        # A snapshot's blocks side by side, transposed: [dim, arms · (dim + 2)]. BLAS is a third faster this way round.
        self._stack: NDArray[np.floating[Any]] | None = None

    def _lean_on(self, table: Mapping[str, str | TaskRule], initial_quality: float) -> None:
        """The cold start: before anything is known, a task's model of the table is expected to be better at it.

        A prior mean alone, on the probabilities of tasks in the context: it weighs what the ridge penalty weighs, so a
        few scores overrule it. Where complexity moves the table is left to what is learned.
        """
        models = {task: rule if isinstance(rule, str) else rule.model for task, rule in table.items()}
        for arm, name in enumerate(self.arms):
            means = np.zeros((2, self.dim))
            means[0, -1] = initial_quality
            for position, task in enumerate(TASKS):
                if models.get(task) == name:
                    means[0, self._components + position] = TABLE_LEAN
            self._ridge.set_prior(arm, np.zeros((self.dim, self.dim)), means, 0.0)

    @property
    def counts(self) -> NDArray[np.float64]:
        return self._counts

    def estimates(self, query: Query, scale: float = 1.0) -> tuple[list[float], list[float], list[float]]:
        """(quality, `scale` times its standard width √xᵀA⁻¹x, cost in USD) by candidate."""
        dim, candidates = self.dim, query.candidates
        padded = self._padded(query.context, self._blocks[0].dtype)
        x = padded[:dim]
        costs: list[float] = query.expected_cost.tolist()
        if self._stack is not None and len(candidates) == len(costs):
            # The padding's zeros leave both θ out of the second product, which a slice would copy for.
            products = x.dot(self._stack).reshape(-1, dim + 2)
            squares = products.dot(padded).tolist()
            quality = products[:, dim].tolist()
            learned = products
        else:
            vectors = [self._blocks[arm].dot(x) for arm in candidates]
            squares = [float(vector.dot(padded)) for vector in vectors]
            quality = [vector.item(dim) for vector in vectors]
            learned = np.array(vectors)
            costs = [costs[arm] for arm in candidates]
        if math.isnan(sum(costs)):
            costs = np.where(np.isnan(costs), np.maximum(learned[:, dim + 1], 0.0), costs).tolist()
        # Rounding may leave a tiny negative square.
        return quality, [scale * abs(square) ** 0.5 for square in squares], costs

    def qualities(self, query: Query) -> list[float]:
        return self.estimates(query)[0]

    def _padded(self, context: NDArray[np.float32], dtype: DTypeLike = np.float64) -> NDArray[Any]:
        """The view of one context (as `routing.context.view`, by slices: it is on the hot path), and two zeros."""
        x = np.zeros(self.dim + 2, dtype)
        if self._components == EMBEDDING_DIM:
            x[:-3] = context
        else:
            x[: self._components] = context[: self._components]
            x[self._components : -3] = context[EMBEDDING_DIM:]
        x[-3] = 1.0
        return x

    def _fold(self, context: NDArray[np.float32], arm: int, quality: float, cost: float, weight: float) -> None:
        self._ridge.update(arm, self._padded(context)[: self.dim], quality, cost, weight)

    def _fold_many(
        self,
        contexts: NDArray[np.float32],
        arm: int,
        qualities: NDArray[np.float64],
        costs: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> None:
        self._ridge.update_many(arm, view(contexts, self._positions), qualities, costs, weights)

    def _decay(self, factor: float) -> None:
        self._ridge.decay(factor)

    def _freeze(self, source: Self) -> None:
        self._blocks = source._ridge.publish()
        self._counts = source._ridge.counts.copy()
        self._stack = np.concatenate(self._blocks).T.copy() if len(self._blocks) <= _STACKED else None

    def _take(self, other: Self, pairs: list[tuple[int, int]]) -> bool:
        if other._components != self._components:
            return False
        for own, others in pairs:
            self._ridge.take(own, other._ridge, others)
        return True
