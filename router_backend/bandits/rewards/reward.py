"""From quality and cost to reward, at the moment of the choice: nothing of it is in the learned state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Reward(Protocol):
    """How quality in [0, 1] and cost in USD make one number. Sequences are by candidate."""

    def dollar(self, costs: Sequence[float]) -> float:
        """Quality that one USD is worth, given the candidates' expected costs; 0 where cost isn't subtracted."""
        ...

    def score(
        self, quality: Sequence[float], width: list[float], costs: Sequence[float]
    ) -> tuple[list[float], list[float]]:
        """(expected rewards, exploration bonuses), given estimates of quality and their confidence widths."""
        ...

    def sampled(self, quality: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rewards [n, candidates] of sampled qualities [n, candidates]; costs are [candidates]."""
        ...

    def realised(self, quality: float, cost: float, costs: Sequence[float], weight: float | None = None) -> float:
        """Reward of an answer, given what the candidates were expected to cost: what feedback is told.

        `weight` is what `observe` gave when the request was sent: the cost weight moves, and is another process's.
        """
        ...

    def observe(
        self,
        cost: float,
        costs: Sequence[float],
        values: Sequence[float] = (),
        ratio: float = 1.0,
        most: float = 0.0,
    ) -> float:
        """A request was sent to an arm, at this expected cost of these (a budget's price follows it).

        `values`: by candidate, what decided, the cost weight in it; `ratio`: what answers have lately cost, of what was expected;
        `most`: expected cost of the most expensive arm that could have answered, where that is no candidate.
        Returns what one USD took from its reward; 0 where cost isn't subtracted.
        """
        ...

    def adopt(self, other: Reward) -> None:
        """Take over what another one of the same kind has observed."""
        ...
