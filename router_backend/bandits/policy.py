"""What the policies share: identity, rules, reward, and the two kinds of learned state behind them."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits import selection
from router_backend.bandits.query import Policy, Query, Scores
from router_backend.bandits.rewards import build_reward
from router_backend.bandits.rules import Rules
from router_backend.bandits.shares import Shares
from router_backend.bandits.statistics.discount import Discount
from router_backend.bandits.statistics.prior import Prior
from router_backend.config.models import ModelConfig
from router_backend.config.policy import POLICY_SECTIONS, BasePolicyConfig, LearningPolicyConfig
from router_backend.config.reward import BudgetRewardConfig, QualityFloorRewardConfig

Config = TypeVar("Config", bound=BasePolicyConfig, covariant=True)


@dataclass(frozen=True)
class Setup(Generic[Config]):
    """What a policy is built from."""

    config: Config
    models: Sequence[ModelConfig]
    default: int
    prior: Prior | None = None

    def by_price(self) -> list[int]:
        """Arms, cheapest first, at three prompt tokens for one of answer; equal prices keep the file's order."""
        prices = [3 * model.price.input + model.price.output for model in self.models]
        return sorted(range(len(prices)), key=prices.__getitem__)


class BasePolicy(ABC):
    """A policy and, after `snapshot`, its own reader: a shallow copy around statistics that stay as they are."""

    stochastic = False

    def __init__(self, setup: Setup[BasePolicyConfig]) -> None:
        self.name: str = setup.config.name
        self.reason = f"policy:{self.name}"
        self.arms = tuple(model.name for model in setup.models)
        self.version = f"{self.name}-{_fingerprint(setup)}"
        self.rules = Rules.of(setup.config, setup.models, setup.default)
        self.reward = build_reward(setup.config.reward)
        self.shares = Shares.of(setup.models)
        self._discount = Discount(
            setup.config.discount_per_day if isinstance(setup.config, LearningPolicyConfig) else 1.0
        )
        self._floors: tuple[tuple[int, ...], list[float], float] | None = None  # of the last candidates asked for

    @property
    @abstractmethod
    def counts(self) -> NDArray[np.float64]: ...

    @abstractmethod
    def scores(self, query: Query) -> Scores: ...

    @abstractmethod
    def qualities(self, query: Query) -> list[float]: ...

    def floors(self, candidates: tuple[int, ...]) -> tuple[list[float], float]:
        known = self._floors
        if known is None or known[0] != candidates:
            floors = self.rules.floors(candidates, self.counts)
            known = self._floors = candidates, floors, sum(floors)
        return known[1], known[2]

    def draw(self, query: Query, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        return np.tile(np.array(self.scores(query).values), (size, 1))

    def probabilities(self, query: Query, rng: np.random.Generator | None = None) -> NDArray[np.float64]:
        return selection.probabilities(self, query, rng)

    def update(self, context: NDArray[np.float32], arm: int, quality: float, cost: float, at: float) -> None:
        # An overflow of the squares would leave the observation out; no embedding comes near it.
        if not math.isfinite(quality + cost + at + context.dot(context)):
            return
        factor = self._discount.advance(at)
        if factor != 1.0:
            self._decay(factor)
        self._fold(context, arm, quality, cost, self._discount.weight(at))
        self._floors = None

    def update_many(
        self,
        contexts: NDArray[np.float32],
        arms: NDArray[np.intp],
        qualities: NDArray[np.float64],
        costs: NDArray[np.float64],
        at: NDArray[np.float64],
    ) -> None:
        finite = np.isfinite(qualities) & np.isfinite(costs) & np.isfinite(at) & np.isfinite(contexts).all(axis=1)
        if not finite.all():
            contexts, arms, qualities, costs, at = (v[finite] for v in (contexts, arms, qualities, costs, at))
        if len(at) == 0:
            return
        factor = self._discount.advance(float(at.max()))
        if factor != 1.0:
            self._decay(factor)
        weights = self._discount.weights(at)
        self._floors = None
        for arm in np.unique(arms):
            rows = arms == arm
            self._fold_many(contexts[rows], int(arm), qualities[rows], costs[rows], weights[rows])

    def snapshot(self) -> Self:
        reader = copy.copy(self)
        reader._freeze(self)
        return reader

    def adopt(self, other: Policy) -> bool:
        if not isinstance(other, type(self)) or not self._discount.follow(other._discount):
            return False
        pairs = [(self.arms.index(arm), i) for i, arm in enumerate(other.arms) if arm in self.arms]
        self.reward.adopt(other.reward)
        if self.shares is not None and other.shares is not None:
            self.shares.adopt(other.shares, pairs)
        self._floors = None
        return self._take(other, pairs)

    @abstractmethod
    def _fold(self, context: NDArray[np.float32], arm: int, quality: float, cost: float, weight: float) -> None:
        """Fold in one observation of a given weight."""

    @abstractmethod
    def _fold_many(
        self,
        contexts: NDArray[np.float32],
        arm: int,
        qualities: NDArray[np.float64],
        costs: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> None:
        """Fold in n observations of one arm."""

    @abstractmethod
    def _decay(self, factor: float) -> None:
        """Multiply the evidence so far."""

    @abstractmethod
    def _freeze(self, source: Self) -> None:
        """Make this shallow copy of `source` independent of its later updates."""

    @abstractmethod
    def _take(self, other: Self, pairs: list[tuple[int, int]]) -> bool:
        """Take over evidence of arms, as (own, other's) pairs; False if it doesn't fit."""


# Versions in old logs are over the settings of all policies: those that a policy doesn't have stand at their defaults.
_EVERY_SETTING: dict[str, Any] = {
    name: value for section in POLICY_SECTIONS.values() for name, value in section().model_dump(mode="json").items()
}
_EVERY_REWARD_SETTING: dict[str, Any] = {
    **BudgetRewardConfig(usd_per_1000=1.0).model_dump(mode="json"),
    **QualityFloorRewardConfig().model_dump(mode="json"),
    "usd_per_1000": None,
}


def _fingerprint(setup: Setup[BasePolicyConfig]) -> str:
    """Eight hex digits of what decides how the policy chooses."""
    settings = _EVERY_SETTING | setup.config.model_dump(mode="json")
    settings["reward"] = _EVERY_REWARD_SETTING | settings["reward"]
    models = [
        (model.name, model.price.model_dump(), model.share.model_dump(), model.max_cost_usd, model.explore)
        for model in setup.models
    ]
    text = json.dumps([settings, models, setup.default], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
