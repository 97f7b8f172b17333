"""What bounds a policy's choice whatever its scores: exploration floor, ceilings, stickiness, confidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_backend.config.models import ModelConfig
from router_backend.config.policy import (
    BasePolicyConfig,
    ExploringPolicyConfig,
    LearningPolicyConfig,
    RankingPolicyConfig,
)

# Probability that new arms have together at most, where `new_share` isn't more by itself.
_NEWCOMERS = 0.2
# Times the observations after which an arm isn't new; from so many on of each other arm, new ones get more than `new_share`.
_LONG_KNOWN = 2.5


@dataclass(frozen=True, slots=True)
class Guard:
    """Another arm than the reference is taken only where it is better by so many standard errors of their difference."""

    reference: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Rules:
    """Immutable; sequences are by arm."""

    epsilon: float  # each candidate with `explore` is chosen with at least epsilon / candidates
    explore: tuple[bool, ...]
    ceilings: tuple[float, ...] | None  # USD of the estimate; None: no arm has one
    max_share: tuple[float, ...]
    switch_penalty: float
    loop_confidence: float  # standard errors by which another arm must be better for a change within a loop
    loop_steps: float  # that are expected to follow a request with tools
    min_confidence: float
    default: int  # taken when the task is unsure or no score is a number
    new_share: float  # probability that the new arms have together
    new_until: float  # observations after which an arm isn't new any more
    rewarded: bool  # values are rewards, so that the price of time can be taken from them
    guard: Guard | None = None

    @classmethod
    def of(cls, config: BasePolicyConfig, models: Sequence[ModelConfig], default: int) -> Rules:
        ceilings = tuple(math.inf if m.max_cost_usd is None else m.max_cost_usd for m in models)
        ranking = config if isinstance(config, RankingPolicyConfig) else RankingPolicyConfig()
        learning = config if isinstance(config, LearningPolicyConfig) else None
        guard = learning.guard if learning else None
        names = [model.name for model in models]
        return cls(
            guard=None
            if guard is None
            else Guard(default if guard.reference is None else names.index(guard.reference), guard.confidence),
            epsilon=config.epsilon if isinstance(config, ExploringPolicyConfig) else 0.0,
            explore=tuple(model.explore for model in models),
            ceilings=ceilings if min(ceilings) < math.inf else None,
            max_share=tuple(model.share.max for model in models),
            switch_penalty=ranking.switch_penalty,
            loop_confidence=ranking.loop.confidence,
            loop_steps=ranking.loop.steps,
            min_confidence=ranking.min_confidence,
            default=default,
            new_share=learning.new_share if learning else 0.0,  # where nothing is learned, no arm is ever new
            new_until=learning.new_until if learning else 0.0,
            rewarded=config.rewarded,
        )

    def within_ceilings(self, candidates: tuple[int, ...], costs: Sequence[float]) -> tuple[int, ...]:
        """Candidates whose expected cost is under their ceiling; the cheapest if none is. `costs` is by candidate."""
        if self.ceilings is None:
            return candidates
        return within(candidates, costs, [self.ceilings[arm] for arm in candidates])

    def floors(self, candidates: tuple[int, ...], counts: NDArray[np.float64]) -> list[float]:
        """Probability that each candidate has whatever its score; their sum is at most 1.

        `epsilon / candidates` each. While an arm is new, the new ones share `new_share` if that is more, and up to `_NEWCOMERS` where
        the others have long been known: then a newcomer is all that is worth trying. A maximum share under the floor wins over it.
        """
        explore = self.explore
        base = self.epsilon / len(candidates)
        floors = [base if explore[arm] else 0.0 for arm in candidates]
        if self.new_share > 0:
            new = [i for i, arm in enumerate(candidates) if counts[arm] < self.new_until and explore[arm]]
            if new and len(new) < len(candidates):
                # What the floors leave over is all that can be given on top of them.
                most = base + max(0.0, 1.0 - sum(floors)) / len(new)
                known = [float(counts[arm]) for i, arm in enumerate(candidates) if i not in new]
                older = min(known) / (_LONG_KNOWN * self.new_until)
                wanted = min(self.new_share * max(1.0, older), max(self.new_share, _NEWCOMERS))
                share = max(base, min(wanted / len(new), most))
                for i in new:
                    floors[i] = share
        return [min(floor, self.max_share[arm]) for floor, arm in zip(floors, candidates, strict=True)]


def within(candidates: tuple[int, ...], costs: Sequence[float], ceilings: Sequence[float]) -> tuple[int, ...]:
    """Candidates that cost no more than their ceilings; the cheapest if none does: a ceiling is a wish, not a refusal."""
    # An unknown cost (NaN) is under every ceiling.
    kept = tuple(arm for arm, cost, most in zip(candidates, costs, ceilings, strict=True) if not cost > most)
    return kept or (candidates[min(range(len(costs)), key=costs.__getitem__)],)
