"""Policies that follow a rule and learn nothing: a table by task, complexity, one model, an order, chance."""

from __future__ import annotations

import bisect
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.batch import Batch
from router_backend.bandits.policy import Policy, Setup
from router_backend.bandits.query import Query, Scores
from router_backend.bandits.statistics.fields import Fields, taken
from router_backend.config.policy import (
    BasePolicyConfig,
    CascadePolicyConfig,
    ComplexityPolicyConfig,
    FixedPolicyConfig,
    RandomPolicyConfig,
    TaskPolicyConfig,
    TaskRule,
)

# Default task table, by price rank (0 the cheapest, 1 the most expensive).
_RANKS = {"code_generation": 1.0, "math": 1.0, "open_qa": 0.5, "text_generation": 0.5, "brainstorming": 0.5}
# Where complexity moves the default table: FizzBuzz goes to the cheapest, a distributed system's design to the most expensive.
SIMPLE, HARD = 0.25, 0.75
# Confidence in the task under which the table isn't followed.
UNSURE = 0.35


class RuleBasedPolicy(Policy):
    """Names one arm per request. Scores fall with the distance in price from it, the more expensive neighbour first: a
    candidate list without the named arm, and fallbacks, get the next best thing."""

    def __init__(self, setup: Setup[BasePolicyConfig]) -> None:
        super().__init__(setup)
        self._by_price = setup.by_price()
        self._rank = {arm: rank for rank, arm in enumerate(self._by_price)}
        self._counts = np.zeros(len(self.arms))

    @property
    def counts(self) -> NDArray[np.float64]:
        return self._counts

    @abstractmethod
    def arm(self, query: Query) -> int:
        """The arm that the rule names; it needn't be a candidate."""

    def scores(self, query: Query) -> Scores:
        aim = self._rank[self.arm(query)]
        values = [_closeness(self._rank[arm] - aim) for arm in query.candidates]
        return _plain(query, values)

    def qualities(self, query: Query) -> list[float]:
        """A rule says nothing of quality, so nothing against any arm: 1."""
        return [1.0] * len(query.candidates)

    def _ranked(self, share: float) -> int:
        """The arm at a share of the way from the cheapest to the most expensive, rounded down."""
        return self._by_price[int(share * (len(self._by_price) - 1))]

    def _fold(
        self, context: NDArray[np.float32], arm: int, quality: float, charges: NDArray[np.float64], weight: float
    ) -> float:
        self._counts[arm] += weight
        return 0.0  # nothing is expected

    def _restart(self, arm: int, keep: float, level: bool) -> None:
        """Nothing is known."""

    def _foreseen(
        self, arm: int, batch: Batch, weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], Callable[[], None]]:
        return np.zeros(len(batch)), lambda: self._fold_many(arm, batch, weights)

    def _fold_many(self, arm: int, batch: Batch, weights: NDArray[np.float64]) -> None:
        self._counts[arm] += weights.sum()

    def _decay(self, factor: float) -> None:
        self._counts *= factor

    def _freeze(self, source: Self) -> None:
        self._counts = source._counts.copy()

    def _take(self, other: Self, pairs: list[tuple[int, int]]) -> bool:
        for own, others in pairs:
            self._counts[own] = other._counts[others]
        return True

    def _dump(self) -> Fields:
        return {"counts": self._counts.copy()}

    def _load(self, fields: Fields) -> None:
        self._counts = taken(fields, "counts", len(self.arms))


class TaskTable(RuleBasedPolicy):
    """The table of `policy.table`, task to model, moved by complexity; without one a default table by price.

    Tasks that the table leaves out go to the default model. An unsure task goes to the cheapest.
    """

    def __init__(self, setup: Setup[TaskPolicyConfig]) -> None:
        super().__init__(setup)
        self._default = setup.default
        self._table = {
            task: rule if isinstance(rule, TaskRule) else TaskRule(model=rule)
            for task, rule in setup.config.table.items()
        }
        self._index = {name: arm for arm, name in enumerate(self.arms)}

    def arm(self, query: Query) -> int:
        if query.confidence < UNSURE:
            return self._by_price[0]
        if not self._table:
            if query.complexity < SIMPLE:
                return self._by_price[0]
            return self._by_price[-1] if query.complexity > HARD else self._ranked(_RANKS.get(query.task, 0.0))
        rule = self._table.get(query.task)
        if rule is None:
            return self._default
        # The tightest threshold that holds: the lowest of `below`, the highest of `above`.
        for model, limit in sorted(rule.below.items(), key=lambda item: item[1]):
            if query.complexity < limit:
                return self._index[model]
        for model, limit in sorted(rule.above.items(), key=lambda item: -item[1]):
            if query.complexity > limit:
                return self._index[model]
        return self._index[rule.model]


class Complexity(RuleBasedPolicy):
    """The model with the highest of `policy.thresholds` that complexity reaches; without any, equal steps by price."""

    def __init__(self, setup: Setup[ComplexityPolicyConfig]) -> None:
        super().__init__(setup)
        index = {name: arm for arm, name in enumerate(self.arms)}
        steps = sorted((limit, index[model]) for model, limit in setup.config.thresholds.items())
        if not steps:
            steps = [(rank / len(self._by_price), arm) for rank, arm in enumerate(self._by_price)]
        self._limits = [limit for limit, _ in steps]
        self._arms = [arm for _, arm in steps]

    def arm(self, query: Query) -> int:
        # Under the lowest threshold the lowest one's model is the closest there is.
        return self._arms[max(0, bisect.bisect_right(self._limits, query.complexity) - 1)]


class Cascade(RuleBasedPolicy):
    """Starts with the first of the order; the ranking is the order in which the forwarding engine escalates."""

    def __init__(self, setup: Setup[CascadePolicyConfig]) -> None:
        super().__init__(setup)
        index = {name: arm for arm, name in enumerate(self.arms)}
        order = [index[name] for name in setup.config.cascade.order] or self._by_price
        # Arms that the order leaves out come last.
        self._position = {arm: position for position, arm in enumerate(dict.fromkeys([*order, *self._by_price]))}

    def arm(self, query: Query) -> int:
        return min(query.candidates, key=self._position.__getitem__)

    def scores(self, query: Query) -> Scores:
        values = [-float(self._position[arm]) for arm in query.candidates]
        return _plain(query, values)


class Fixed(RuleBasedPolicy):
    """Always `policy.model`, by default the default model. Fixed is fixed: it has no exploration floor."""

    def __init__(self, setup: Setup[FixedPolicyConfig]) -> None:
        super().__init__(setup)
        self._arm = setup.default if setup.config.model is None else self.arms.index(setup.config.model)

    def arm(self, query: Query) -> int:
        return self._arm


class Random(RuleBasedPolicy):
    """Each candidate with the same probability: a floor that leaves nothing else."""

    def __init__(self, setup: Setup[RandomPolicyConfig]) -> None:
        super().__init__(setup)
        self.rules = replace(self.rules, epsilon=1.0, explore=(True,) * len(self.arms))

    def arm(self, query: Query) -> int:
        return query.candidates[0]

    def scores(self, query: Query) -> Scores:
        return _plain(query, [0.0] * len(query.candidates))


def _plain(query: Query, values: list[float]) -> Scores:
    costs = query.expected_cost.tolist()
    return Scores(values, values, [0.0] * len(values), [costs[arm] for arm in query.candidates])


def _closeness(step: int) -> float:
    """1 at the aim, then falling; at the same distance the more expensive arm (positive step) is closer."""
    return 1.0 / (1.0 + (2 * step - 1 if step > 0 else -2 * step))
