"""What a policy is: identity, rules, reward, and two kinds of learned state, in `policies/linear.py` and
`policies/context_free.py`."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.batch import Batch
from router_backend.bandits.charges import in_usd
from router_backend.bandits.query import Query, Scores
from router_backend.bandits.rewards import build_reward
from router_backend.bandits.rules import Rules
from router_backend.bandits.shares import Shares
from router_backend.bandits.statistics.change import Change, ChangeDetector
from router_backend.bandits.statistics.discount import Discount
from router_backend.bandits.statistics.fields import Fields, nested, part
from router_backend.bandits.statistics.prior import Prior
from router_backend.bandits.statistics.side_by_side import for_each_arm
from router_backend.config.models import ModelConfig
from router_backend.config.policy import (
    POLICY_SECTIONS,
    BasePolicyConfig,
    LearningPolicyConfig,
    LinearPolicyConfig,
)
from router_backend.config.reward import BudgetRewardConfig, QualityFloorRewardConfig
from router_backend.contract import TASKS

# Observations of an arm whose errors are computed at once; at most `change.WINDOW`.
_BLOCK = 384

Config = TypeVar("Config", bound=BasePolicyConfig, covariant=True)


@dataclass(frozen=True)
class Setup(Generic[Config]):
    """What a policy is built from."""

    config: Config
    models: Sequence[ModelConfig]
    default: int
    prior: Prior | None = None
    tasks: Sequence[str] = TASKS

    def by_price(self) -> list[int]:
        """Arms, cheapest first; equal prices keep the file's order."""
        prices = [model.price.blended for model in self.models]
        return sorted(range(len(prices)), key=prices.__getitem__)


class Policy(ABC):
    """Scores candidates, and learns. One thread updates it; others ask its snapshots, which never change.

    `reward` and `shares` are this process's own running controls (the cost weight under a budget, the shares so far)
    and are the same objects in every snapshot of a policy.
    """

    stochastic = False
    """Whether the pick itself is drawn (Thompson), so that its probability is known by estimate only."""

    def __init__(self, setup: Setup[BasePolicyConfig]) -> None:
        self.name: str = setup.config.name
        self.reason = f"policy:{self.name}"  # why its own pick was chosen
        self.arms = tuple(model.name for model in setup.models)
        # Name and a hash of configuration and arms: two policies of one version decide by one rule.
        self.version = f"{self.name}-{_fingerprint(setup)}"
        self.learned_by = _learned_by(setup)
        self.rules = Rules.of(setup.config, setup.models, setup.default)
        self.reward = build_reward(setup.config.reward)
        self.shares = Shares.of(setup.models)
        learning = setup.config if isinstance(setup.config, LearningPolicyConfig) else None
        self._discount = Discount(learning.discount_per_day if learning else 1.0)
        self._changes = ChangeDetector(len(self.arms), learning.change.false_alarm if learning else 0.0)
        self._keep = learning.change.keep if learning else 0.0
        self._floors: tuple[tuple[int, ...], list[float], float] | None = None  # of the last candidates asked for
        # Of the last query that was planned for (`bandits.plan`), by its costs and the price of a dollar: a step asks more than once.
        self.planned: tuple[Query, list[float], float, list[float]] | None = None

    @property
    @abstractmethod
    def counts(self) -> NDArray[np.float64]:
        """FP64 [arms]: observations, discounted, the prior's included."""

    @abstractmethod
    def scores(self, query: Query) -> Scores:
        """Scores of `query.candidates`; without randomness."""

    @abstractmethod
    def qualities(self, query: Query) -> list[float]:
        """Expected quality of `query.candidates`, cost aside; 1 where a policy knows nothing of it."""

    def qualities_ahead(self, query: Query) -> NDArray[np.float64]:
        """FP64 [kinds, candidates]: expected qualities of the steps that follow in a loop over tools; as now where a policy reads no steps."""
        return np.array([self.qualities(query)])

    @property
    def changes(self) -> dict[str, tuple[Change, ...]]:
        """The changes found so far, oldest first, by arm."""
        return dict(zip(self.arms, self._changes.found, strict=True))

    def standard_errors(self, query: Query) -> list[float]:
        """Of the qualities expected of `query.candidates`, by what was observed; 0 where a policy has none."""
        return [0.0] * len(query.candidates)

    def floors(self, candidates: tuple[int, ...]) -> tuple[list[float], float]:
        """Probability that each candidate has whatever its score (`Rules.floors`), and the sum."""
        known = self._floors
        if known is None or known[0] != candidates:
            floors = self.rules.floors(candidates, self.counts)
            known = self._floors = candidates, floors, sum(floors)
        return known[1], known[2]

    def draw(self, query: Query, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        """Sampled values [size, candidates] of a stochastic policy; others repeat `scores(query).values`."""
        return np.tile(np.array(self.scores(query).values), (size, 1))

    def update(
        self, context: NDArray[np.float32], arm: int, quality: float, cost: float, at: float, weight: float = 1.0
    ) -> None:
        """Fold one observation in, of a cost in USD, as those of a `Batch`; one with a number that isn't finite is left out.

        Discounting by the time of the decision, `at`, is independent of the order of arrival. Changes are found in the order in
        which an arm's observations come.
        """
        # An overflow of the squares would leave the observation out; no embedding comes near it.
        if not (math.isfinite(quality + cost + at + context.dot(context)) and weight > 0.0):
            return
        factor = self._discount.advance(at)
        if factor != 1.0:
            self._decay(factor)
        (charges,) = in_usd(np.array([cost]))
        error = self._fold(context, arm, quality, charges, self._discount.weight(at) * weight)
        self._floors = self.planned = None
        if self._changes.false_alarm > 0:
            changed = self._changes.observe(arm, context, quality, charges, at, error * math.sqrt(weight), weight)
            if changed is not None:
                self._restart(arm, self._keep, level=False)
                self._fold_many(arm, changed, self._weights(changed))

    def replaced(self, arm: int) -> None:
        """Another model answers behind an arm's name: what was known of it is a weak prior from now on (`change.keep`)."""
        self._restart(arm, self._keep, level=True)
        self._changes.forget(arm)
        self._floors = self.planned = None

    def update_many(self, batch: Batch) -> None:
        """As `update`, for many observations at once."""
        batch = batch.finite()
        if not len(batch):
            return
        self._floors = self.planned = None
        if self._changes.false_alarm > 0:
            # What is expected of an observation depends on the reference, so this one moves where it would without a batch.
            for run in self._discount.runs(batch.at):
                self._update_run(batch.where(run), self._watch_many)
        else:
            self._update_run(batch, self._fold_many)

    def _update_run(self, batch: Batch, take: Callable[[int, Batch, NDArray[np.float64]], None]) -> None:
        """Move the reference once, then take each arm's observations."""
        factor = self._discount.advance(float(batch.at.max()))
        if factor != 1.0:
            self._decay(factor)
        weights = self._weights(batch)

        def of(arm: int) -> None:
            rows = batch.arms == arm
            take(arm, batch.where(rows), weights[rows])

        for_each_arm(of, np.unique(batch.arms).tolist(), len(batch))

    def _watch_many(self, arm: int, batch: Batch, weights: NDArray[np.float64]) -> None:
        """Fold in observations of one arm, and look for changes; each one's error is that of what was known before it."""
        start = 0
        while start < len(batch):
            block = slice(start, start + _BLOCK)
            part, heavy = batch.where(block), weights[block]
            errors, fold = self._foreseen(arm, part, heavy)
            if part.weights is not None:  # of one variance, as the detector expects
                errors = errors * np.sqrt(part.weights)
            taken, changed = self._changes.observe_many(arm, part, errors)
            if taken == len(part):
                fold()
            else:
                self._fold_many(arm, part.where(slice(taken)), heavy[:taken])
            if changed is not None:
                self._restart(arm, self._keep, level=False)
                self._fold_many(arm, changed, self._weights(changed))
            start += taken

    def _weights(self, batch: Batch) -> NDArray[np.float64]:
        weights = self._discount.weights(batch.at)
        return weights if batch.weights is None else weights * batch.weights

    def snapshot(self) -> Self:
        """An immutable copy; cheap, because statistics are copied only when an arm is next updated."""
        reader = copy.copy(self)
        reader._changes = copy.copy(self._changes)
        reader.planned = None
        reader._freeze(self)
        return reader

    def adopt(self, other: Policy) -> bool:
        """Take over the statistics of arms of the same name; False: incompatible, learn again from the event log."""
        if not isinstance(other, type(self)) or not self._discount.follow(other._discount):
            return False
        pairs = [(self.arms.index(arm), i) for i, arm in enumerate(other.arms) if arm in self.arms]
        self.reward.adopt(other.reward)
        if self.shares is not None and other.shares is not None:
            self.shares.adopt(other.shares, pairs)
        self._floors = self.planned = None
        return self._changes.adopt(other._changes, pairs) and self._take(other, pairs)

    def dump(self) -> Fields:
        """What was learned, for a checkpoint; `load` of a policy of the same `learned_by` and arms takes it."""
        return (
            nested("discount", self._discount.dump())
            | nested("changes", self._changes.dump())
            | nested("statistics", self._dump())
        )

    def load(self, fields: Fields) -> None:
        """Take over what `dump` wrote, in place of what was learned.

        Raises:
            FieldsError: it is another policy's. The policy must not be used then.
        """
        self._discount.load(part("discount", fields))
        self._changes.load(part("changes", fields))
        self._load(part("statistics", fields))
        self._floors = self.planned = None

    @abstractmethod
    def _fold(
        self, context: NDArray[np.float32], arm: int, quality: float, charges: NDArray[np.float64], weight: float
    ) -> float:
        """Fold in one observation of a given weight; the error of the quality expected of it, over its relative deviation."""

    @abstractmethod
    def _foreseen(
        self, arm: int, batch: Batch, weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], Callable[[], None]]:
        """([n] what `_fold` would return of an arm's observations one after the other, what folds all of them in); none is folded in yet."""

    @abstractmethod
    def _fold_many(self, arm: int, batch: Batch, weights: NDArray[np.float64]) -> None:
        """Fold in observations of one arm, `weights` [n]."""

    @abstractmethod
    def _restart(self, arm: int, keep: float, level: bool) -> None:
        """Make all that is known of an arm a prior that counts for at most `keep` observations; without `level`, its shape alone."""

    @abstractmethod
    def _decay(self, factor: float) -> None:
        """Multiply the evidence so far."""

    @abstractmethod
    def _freeze(self, source: Self) -> None:
        """Make this shallow copy of `source` independent of its later updates."""

    @abstractmethod
    def _take(self, other: Self, pairs: list[tuple[int, int]]) -> bool:
        """Take over evidence of arms, as (own, other's) pairs; False if it doesn't fit."""

    @abstractmethod
    def _dump(self) -> Fields:
        """The evidence of all arms."""

    @abstractmethod
    def _load(self, fields: Fields) -> None:
        """Take over what `_dump` wrote; FieldsError if it is of other arms or another dimension."""


# Versions in old logs are over the settings of all policies: those that a policy doesn't have stand at their defaults.
_EVERY_SETTING: dict[str, Any] = {
    name: value for section in POLICY_SECTIONS.values() for name, value in section().model_dump(mode="json").items()
}
_EVERY_REWARD_SETTING: dict[str, Any] = {
    **BudgetRewardConfig(usd_per_1000=1.0).model_dump(mode="json"),
    **QualityFloorRewardConfig().model_dump(mode="json"),
    "usd_per_1000": None,
}


# Settings by which a policy learns. With the others (λ, α, exploration, …) it only chooses by what it has learned.
_LEARNING_SETTINGS = {
    "name",
    "initial_quality",
    "discount_per_day",
    "change",
    "prior_weight",
    "components",
    "ridge",
}


def _learned_by(setup: Setup[BasePolicyConfig]) -> str:
    """What the statistics depend on beside the log: two policies of one `learned_by` learn the same of it."""
    settings = setup.config.model_dump(mode="json", include=_LEARNING_SETTINGS)
    if isinstance(setup.config, LinearPolicyConfig):  # where learning starts from; rules learn nothing by their table
        settings["table"] = setup.config.model_dump(mode="json")["table"]
    settings["prior"] = None if setup.prior is None else setup.prior.digest()
    return json.dumps(settings, sort_keys=True)


# Prices by the hour are prices of tokens, too.
_TOKEN_PRICES = {"input", "output", "cached_input", "reasoning"}
_LATER_PRICES = {"cache_write"}  # than the first versions


def _fingerprint(setup: Setup[BasePolicyConfig]) -> str:
    """Eight hex digits of what decides how the policy chooses."""
    settings = _EVERY_SETTING | setup.config.model_dump(mode="json")
    for later in ("change", "guard", "loop"):  # than the first versions
        if settings[later] == _EVERY_SETTING[later]:
            del settings[later]
    settings["reward"] = _EVERY_REWARD_SETTING | settings["reward"]
    if settings["reward"]["usd_per_day"] is None:  # later, too
        del settings["reward"]["usd_per_day"]
    models = [
        (
            model.name,
            model.price.model_dump(include=_TOKEN_PRICES)
            | model.price.model_dump(include=_LATER_PRICES, exclude_none=True),
            model.share.model_dump(),
            model.max_cost_usd,
            model.explore,
        )
        for model in setup.models
    ]
    published = {model.name: model.benchmarks for model in setup.models if model.benchmarks}
    text = json.dumps([settings, models, setup.default, *([published] if published else [])], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
