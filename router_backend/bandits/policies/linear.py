"""The policies that learn a ridge regression per arm on the context: LinUCB, linear Thompson sampling, strong and weak."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import add
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.batch import Batch
from router_backend.bandits.charges import rates
from router_backend.bandits.context import CONTEXT_DIM, steps_ahead, view, view_indices
from router_backend.bandits.policy import Policy, Setup
from router_backend.bandits.query import Query, Scores
from router_backend.bandits.statistics.change import VARIANCE
from router_backend.bandits.statistics.fields import Fields
from router_backend.bandits.statistics.prior import Prior
from router_backend.bandits.statistics.regressions import FrozenRegressions, LiveRegressions
from router_backend.bandits.statistics.ridge import RidgeArms
from router_backend.config.policy import (
    BinaryPolicyConfig,
    LinearPolicyConfig,
    LinTSPolicyConfig,
    LinUCBPolicyConfig,
    TaskRule,
)
from router_backend.contract import EMBEDDING_DIM

# Quality by which the table's model is expected to beat the others at its task; more than any usual λ takes away.
TABLE_LEAN = 0.3
# Observations that the level of an arm without a prior counts for, where others have one.
_LEVEL_COUNT = 1.0


Estimates = tuple[list[float], list[float], list[float]]
"""By candidate: quality, widths of its bound (√xᵀA⁻¹x times a scale), and cost in USD."""


class LinearPolicy(Policy):
    """Base: holds the regressions; subclasses say how estimates and widths become scores.

    Cost at the moment of the choice starts as `Query.expected_cost` (the prompt's tokens at list price and the arm's usual length
    of answer for the task). With n observations, n / (n + 50) of it is what the arm's own regression says: the prompt at list
    price and the answer's cost as learned on the context, which is at least nothing: so no cost is below the prompt's. Where nothing
    is known beforehand (NaN), as in recorded answers, it is the regression alone, and at least `Query.prompt_cost`.
    """

    def __init__(self, setup: Setup[LinearPolicyConfig]) -> None:
        super().__init__(setup)
        config = setup.config
        self._components = config.components
        self._positions = view_indices(config.components)
        self.dim = len(self._positions) + 1
        self._ridge = RidgeArms(len(self.arms), self.dim, config.ridge, config.initial_quality, rates(setup.models))
        if setup.prior is None and config.table:
            self._lean_on(config.table, config.initial_quality, setup.tasks)
        if setup.prior is not None:
            self._start_from(setup.prior, config)
        self._read: LiveRegressions | FrozenRegressions = LiveRegressions(self._ridge)

    def _start_from(self, prior: Prior, config: LinearPolicyConfig) -> None:
        """Each arm from its own prior; a newcomer that has none as its neighbours are on average, of a level that shows soon."""
        bias_included = np.append(self._positions, CONTEXT_DIM)
        own = {arm: prior.arm(name, bias_included, config.prior_weight) for arm, name in enumerate(self.arms)}
        known = {arm: found for arm, found in own.items() if found is not None}
        for arm, found in known.items():
            self._ridge.set_prior(arm, found.precision, found.means, found.count)
        if not known:
            return
        means = np.mean([found.means[:1] for found in known.values()], axis=0)
        level = np.zeros((self.dim, self.dim))
        level[-1, -1] = min(0.0, _LEVEL_COUNT - config.ridge)
        for arm in own.keys() - known.keys():
            self._ridge.set_prior(arm, level, means, 0.0)

    def _lean_on(self, table: Mapping[str, str | TaskRule], initial_quality: float, tasks: Sequence[str]) -> None:
        """The cold start: before anything is known, a task's model of the table is expected to be better at it.

        A prior mean alone, on the probabilities of tasks in the context: it weighs what the ridge penalty weighs, so a
        few scores overrule it. Where complexity moves the table is left to what is learned.
        """
        models = {task: rule if isinstance(rule, str) else rule.model for task, rule in table.items()}
        for arm, name in enumerate(self.arms):
            means = np.zeros((1, self.dim))
            means[0, -1] = initial_quality
            for position, task in enumerate(tasks):
                if models.get(task) == name:
                    means[0, self._components + position] = TABLE_LEAN
            self._ridge.set_prior(arm, np.zeros((self.dim, self.dim)), means, 0.0)

    @property
    def counts(self) -> NDArray[np.float64]:
        return self._read.counts

    def estimates(self, query: Query, scale: float = 1.0) -> Estimates:
        """Of `query.candidates`; `scale`: of the widths."""
        read = self._read
        quality, squares, learned = read.predict(self._view(query.context, read.dtype), query.candidates)
        widths = [scale * square**0.5 if square > 0.0 else 0.0 for square in squares]
        return quality, widths, self._costs(query, learned)

    def _costs(self, query: Query, learned: list[float]) -> list[float]:
        """USD by candidate, given what the regressions say of each."""
        known: list[float] = query.expected_cost.tolist()
        prompt: list[float] = [0.0] * len(known) if query.prompt_cost is None else query.prompt_cost.tolist()
        trust = self._read.trust
        limits = None if query.answer_limit is None else query.answer_limit.tolist()
        if len(learned) != len(known):
            known, prompt, trust = ([values[arm] for arm in query.candidates] for values in (known, prompt, trust))
            limits = limits and [limits[arm] for arm in query.candidates]
        total = sum(known)
        if total != total:  # NaN
            return [
                max(own, least) if math.isnan(cost) else cost
                for own, cost, least in zip(learned, known, prompt, strict=True)
            ]
        if query.prompt_cost is None:
            return known
        if limits is not None:
            learned = list(map(min, learned, limits))
        # A regression may say of a cheap model's short answers that they cost less than nothing. By index and without calls, since a strict
        # zip of four costs three times as much.
        return [
            cost + trust[i] * (prompt[i] + (learned[i] if learned[i] > 0.0 else 0.0) - cost)
            for i, cost in enumerate(known)
        ]

    def qualities(self, query: Query) -> list[float]:
        return self.estimates(query)[0]

    def qualities_ahead(self, query: Query) -> NDArray[np.float64]:
        return self._read.qualities(view(steps_ahead(query.context, query.steps), self._positions), query.candidates)

    def standard_errors(self, query: Query) -> list[float]:
        return self.estimates(query, VARIANCE**0.5)[1]

    def _view(self, context: NDArray[np.float32], dtype: np.dtype[np.floating[Any]]) -> NDArray[Any]:
        """The view of one context: as `context.view`, by slices, since it is on the hot path."""
        x = np.empty(self.dim, dtype)
        x[-1] = 1.0
        if self._components == EMBEDDING_DIM:
            x[:-1] = context
        else:
            x[: self._components] = context[: self._components]
            x[self._components : -1] = context[EMBEDDING_DIM:]
        return x

    def _fold(
        self, context: NDArray[np.float32], arm: int, quality: float, charges: NDArray[np.float64], weight: float
    ) -> float:
        return self._ridge.update(arm, self._view(context, LiveRegressions.dtype), quality, charges, weight)

    def _foreseen(
        self, arm: int, batch: Batch, weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], Callable[[], None]]:
        contexts = view(batch.contexts, self._positions)
        foreseen = self._ridge.foreseen(arm, contexts, batch.qualities, batch.charges, weights)
        return foreseen.errors, lambda: self._ridge.absorb(arm, foreseen)

    def _fold_many(self, arm: int, batch: Batch, weights: NDArray[np.float64]) -> None:
        contexts = view(batch.contexts, self._positions)
        self._ridge.update_many(arm, contexts, batch.qualities, batch.charges, weights)

    def _restart(self, arm: int, keep: float, level: bool) -> None:
        self._ridge.restart(arm, keep, level)

    def _decay(self, factor: float) -> None:
        self._ridge.decay(factor)

    def _freeze(self, source: Self) -> None:
        self._read = FrozenRegressions(source._ridge)

    def _take(self, other: Self, pairs: list[tuple[int, int]]) -> bool:
        if other._components != self._components:
            return False
        for own, others in pairs:
            self._ridge.take(own, other._ridge, others)
        return True

    def _dump(self) -> Fields:
        return self._ridge.dump()

    def _load(self, fields: Fields) -> None:
        self._ridge.load(fields)


class LinUCB(LinearPolicy):
    """LinUCB with disjoint arms (Li et al. 2010, algorithm 1).

    Reward of the upper confidence bound of quality, xᵀθ + α·√(xᵀA⁻¹x).
    """

    def __init__(self, setup: Setup[LinUCBPolicyConfig]) -> None:
        super().__init__(setup)
        self._alpha = setup.config.alpha

    def scores(self, query: Query) -> Scores:
        quality, width, cost = self.estimates(query, self._alpha)
        means, bonuses = self.reward.score(quality, width, cost)
        return Scores(list(map(add, means, bonuses)), means, bonuses, cost)


class LinTS(LinearPolicy):
    """Linear Thompson sampling with disjoint arms (Agrawal and Goyal 2013, "Thompson sampling for contextual bandits").

    Reward of a quality drawn from N(xᵀθ, α²·xᵀA⁻¹x): what xᵀθ̃ is for θ̃ drawn from N(θ, α²A⁻¹).
    """

    stochastic = True

    def __init__(self, setup: Setup[LinTSPolicyConfig]) -> None:
        super().__init__(setup)
        self._alpha = setup.config.alpha

    def scores(self, query: Query) -> Scores:
        """Expected rewards, as values and as means; the bonus is one standard deviation's."""
        quality, deviation, cost = self.estimates(query, self._alpha)
        means, bonuses = self.reward.score(quality, deviation, cost)
        return Scores(means, means, bonuses, cost)

    def draw(self, query: Query, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        quality, deviation, cost = self.estimates(query, self._alpha)
        drawn = rng.standard_normal((size, len(quality))) * np.array(deviation) + np.array(quality)
        return self.reward.sampled(drawn, np.array(cost))


class Binary(LinearPolicy):
    """RouteLLM's strong/weak threshold router (Ong et al. 2024), with the win probability from this router's own regressions.

    The strong model if P(its answer is the better one) reaches the threshold, else the weak one.

    With qualities s and w expected of the two, and an answer's score spread as a right-or-wrong one's, the probability is
    Φ((s − w) / √(s(1 − s) + w(1 − w))): ½ where they are equal. Other candidates come after the two.
    """

    def __init__(self, setup: Setup[BinaryPolicyConfig]) -> None:
        super().__init__(setup)
        by_price, config = setup.by_price(), setup.config
        self._strong = by_price[-1] if config.strong is None else self.arms.index(config.strong)
        self._weak = by_price[0] if config.weak is None else self.arms.index(config.weak)
        self._threshold = config.threshold

    def scores(self, query: Query) -> Scores:
        """Of strong the win probability less the threshold, of weak 0, of others below both."""
        quality, _, cost = self.estimates(query)
        of = dict(zip(query.candidates, quality, strict=True))
        if self._strong in of and self._weak in of:
            margin = win_probability(of[self._strong], of[self._weak]) - self._threshold
        else:
            margin = 0.0
        values = [self._value(arm, margin) for arm in query.candidates]
        return Scores(values, quality, [0.0] * len(values), cost)

    def _value(self, arm: int, margin: float) -> float:
        if arm == self._strong:
            # At the threshold itself the strong model is taken.
            return margin if margin != 0 else 1e-12
        return 0.0 if arm == self._weak else -2.0


def win_probability(strong: float, weak: float) -> float:
    """P(the strong model's answer is better), given the qualities expected of both."""
    s, w = min(max(strong, 0.0), 1.0), min(max(weak, 0.0), 1.0)
    # Predictions of exactly 0 or 1 are never certain.
    spread = max(math.sqrt(s * (1.0 - s) + w * (1.0 - w)), 0.1)
    return 0.5 * (1.0 + math.erf((strong - weak) / spread / math.sqrt(2.0)))
