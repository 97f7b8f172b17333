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

    def adopt(self, other: Reward) -> None:
        """Take over what another one of the same kind has observed."""
        ...
