"""From quality and cost to reward, at the moment of the choice: nothing of it is in the learned state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Reward(Protocol):
    """How quality in [0, 1] and cost in USD make one number. Sequences are by candidate."""

    follows_spending: bool  # whether `observe` does anything

    def score(
        self, quality: Sequence[float], width: list[float], costs: Sequence[float]
    ) -> tuple[list[float], list[float]]:
        """(expected rewards, exploration bonuses), given estimates of quality and their confidence widths."""
        ...

    def sampled(self, quality: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rewards [n, candidates] of sampled qualities [n, candidates]; costs are [candidates]."""
        ...

    def realised(self, quality: float, cost: float, costs: Sequence[float]) -> float:
        """Reward of an answer, given what the candidates were expected to cost: what feedback is told."""
        ...

    def observe(self, cost: float, costs: Sequence[float]) -> None:
        """A request was sent to an arm, at this expected cost of these (a budget's price follows it)."""
        ...


class PricedReward:
    """Base of the rewards quality − price · cost; subclasses say what a dollar is worth."""

    follows_spending = False

    def dollar(self, costs: Sequence[float]) -> float:
        """Quality that one USD is worth, given the candidates' expected costs."""
        raise NotImplementedError

    def score(
        self, quality: Sequence[float], width: list[float], costs: Sequence[float]
    ) -> tuple[list[float], list[float]]:
        dollar = self.dollar(costs)
        return [mean - dollar * cost for mean, cost in zip(quality, costs, strict=True)], width

    def sampled(self, quality: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(quality - self.dollar(costs.tolist()) * costs)

    def realised(self, quality: float, cost: float, costs: Sequence[float]) -> float:
        return quality - self.dollar(costs or [cost]) * cost

    def observe(self, cost: float, costs: Sequence[float]) -> None:
        """What was spent doesn't change a reward, unless it is a budget's."""
