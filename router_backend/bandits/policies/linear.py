"""Base of the policies that learn a ridge regression per arm on the context."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.context import CONTEXT_DIM, view, view_indices
from router_backend.bandits.policy import BasePolicy, Setup
from router_backend.bandits.query import Query
from router_backend.bandits.statistics.ridge import RidgeArms
from router_backend.config.policy import LinearPolicyConfig, TaskRule
from router_backend.contract import EMBEDDING_DIM, TASKS

_FP32: np.dtype[np.floating[Any]] = np.dtype(np.float32)
_FP64: np.dtype[np.floating[Any]] = np.dtype(np.float64)
# With at most so many arms a snapshot joins their blocks, so that one product serves all. More would cost too much to copy.
_STACKED = 8

# Observations after which an arm's learned cost counts for as much as the estimate by task. With fewer than 50 it is better on
# some data and worse on other, with more on all (docs/replay.md).
_TRUST = 50.0

# Quality by which the table's model is expected to beat the others at its task; more than any usual λ takes away.
TABLE_LEAN = 0.3


class LinearPolicy(BasePolicy):
    """Holds the regressions; subclasses say how estimates and widths become scores.

    Cost at the moment of the choice starts as `Query.expected_cost` (the prompt's tokens at list price and the arm's usual length
    of answer for the task). With n observations, n / (n + 50) of it is what the arm's own regression says: the prompt at list
    price and the answer's cost as learned on the context. Where nothing is known beforehand (NaN), as in recorded
    answers, it is the regression alone.
    """

    def __init__(self, setup: Setup[LinearPolicyConfig]) -> None:
        super().__init__(setup)
        config = setup.config
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
        self._blocks: tuple[NDArray[np.float32], ...] = ()  # a snapshot's
        self._counts = self._ridge.counts
        self._dtype: np.dtype[np.floating[Any]] = _FP64
        self._trust: list[float] | None = None  # a snapshot's: weight of each arm's learned cost
        # A snapshot's blocks side by side, transposed: [dim, arms · (dim + 2)], all A⁻¹ and then all θ of quality and of cost.
        # BLAS is a third faster this way round.
        self._stack: NDArray[np.floating[Any]] | None = None

    def _lean_on(self, table: Mapping[str, str | TaskRule], initial_quality: float) -> None:
        """The cold start: before anything is known, a task's model of the table is expected to be better at it.

        A prior mean alone, on the probabilities of tasks in the context: it weighs what the ridge penalty weighs, so a
        few scores overrule it. Where complexity moves the table is left to what is learned.
        """
        models = {task: rule if isinstance(rule, str) else rule.model for task, rule in table.items()}
        for arm, name in enumerate(self.arms):
            means = np.zeros((1, self.dim))
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
        x = self._view(query.context, self._dtype)
        arms = len(self.arms)
        if self._stack is not None and len(candidates) == arms:
            products = x.dot(self._stack)
            squares = products[: arms * dim].reshape(arms, dim).dot(x).tolist()
            means = products[arms * dim :].tolist()
            quality, learned = means[:arms], means[arms:]
        else:
            live = self._trust is None
            vectors = [(self._ridge.block(arm) if live else self._blocks[arm]).dot(x) for arm in candidates]
            squares = [float(vector[:dim].dot(x)) for vector in vectors]
            quality = [vector.item(dim) for vector in vectors]
            if live:
                learned = [float(self._ridge.cost(arm).dot(x)) for arm in candidates]
            else:
                learned = [vector.item(dim + 1) for vector in vectors]
        # Rounding may leave a tiny negative square.
        widths = [scale * square**0.5 if square > 0.0 else 0.0 for square in squares]
        return quality, widths, self._costs(query, learned)

    def _costs(self, query: Query, learned: list[float]) -> list[float]:
        """USD by candidate, given what the regressions say of each."""
        known: list[float] = query.expected_cost.tolist()
        if query.prompt_cost is None:
            if len(learned) != len(known):
                known = [known[arm] for arm in query.candidates]
            if math.isnan(sum(known)):
                return [max(own, 0.0) if math.isnan(cost) else cost for own, cost in zip(learned, known, strict=True)]
            return known
        prompt: list[float] = query.prompt_cost.tolist()
        trust = _trust(self._ridge.evidence) if self._trust is None else self._trust
        limits = None if query.answer_limit is None else query.answer_limit.tolist()
        if len(learned) != len(known):
            known, prompt, trust = ([values[arm] for arm in query.candidates] for values in (known, prompt, trust))
            limits = limits and [limits[arm] for arm in query.candidates]
        if limits is not None:
            learned = list(map(min, learned, limits))
        # By index, since a strict zip of four costs three times as much.
        costs = [cost + trust[i] * (prompt[i] + learned[i] - cost) for i, cost in enumerate(known)]
        # Cached prompts cost less than the list price, so what is learned beside it may be negative.
        return costs if min(costs) >= 0.0 else [max(cost, 0.0) for cost in costs]

    def qualities(self, query: Query) -> list[float]:
        return self.estimates(query)[0]

    def _view(self, context: NDArray[np.float32], dtype: np.dtype[np.floating[Any]]) -> NDArray[Any]:
        """The view of one context: as `routing.context.view`, by slices, since it is on the hot path."""
        x = np.empty(self.dim, dtype)
        x[-1] = 1.0
        if self._components == EMBEDDING_DIM:
            x[:-1] = context
        else:
            x[: self._components] = context[: self._components]
            x[self._components : -1] = context[EMBEDDING_DIM:]
        return x

    def _fold(self, context: NDArray[np.float32], arm: int, quality: float, cost: float, weight: float) -> None:
        self._ridge.update(arm, self._view(context, _FP64), quality, cost, weight)

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
        self._trust = _trust(source._ridge.evidence)
        self._dtype = _FP32
        dim, arms = self.dim, len(self._blocks)
        if arms <= _STACKED:
            stack = self._stack = np.empty((dim, arms * (dim + 2)), _FP32)
            for arm, block in enumerate(self._blocks):
                stack[:, arm * dim : (arm + 1) * dim] = block[:dim]  # A⁻¹ is its own transpose
                stack[:, arms * dim + arm] = block[dim]
                stack[:, arms * (dim + 1) + arm] = block[dim + 1]

    def _take(self, other: Self, pairs: list[tuple[int, int]]) -> bool:
        if other._components != self._components:
            return False
        for own, others in pairs:
            self._ridge.take(own, other._ridge, others)
        return True


def _trust(evidence: NDArray[np.float64]) -> list[float]:
    weights: list[float] = (evidence / (evidence + _TRUST)).tolist()
    return weights
