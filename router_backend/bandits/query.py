"""What a policy is asked, and what it answers.

Arms are indices in the order of `models` in `router.yaml`; names are for people and logs (`Policy.arms`).
Scores are plain lists: at a handful of candidates arithmetic on floats is several times faster than on numpy arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from router_backend.contract import TASKS


class Query(NamedTuple):
    """One request, as a policy sees it."""

    context: NDArray[np.float32]  # [CONTEXT_DIM], layout of bandits.context
    candidates: tuple[int, ...]  # arms that may answer, ascending, at least one
    expected_cost: NDArray[np.float64]  # [arms] USD; NaN where unknown: the policy's learned cost is taken
    # What a policy may learn beyond `expected_cost`: the cost of answers, apart from what is known. None: it is taken as it is.
    # [arms] USD at list price, not part of the costs that are learned; of an unknown cost the least that it may be.
    prompt_cost: NDArray[np.float64] | None = None
    answer_limit: NDArray[np.float64] | None = None  # [arms] USD of the longest answer that is allowed; None: no limit
    task: str = TASKS[0]
    task_probabilities: Sequence[float] | NDArray[np.float32] = ()
    complexity: float = 0.0
    confidence: float = 1.0  # probability of `task`
    previous: int | None = None  # the arm that answered the session's last request
    cache_saving: NDArray[np.float64] | None = (
        None  # [arms] USD that warm prompt caches take from list price, in `expected_cost` and `prompt_cost`; None: nothing
    )
    cacheable: NDArray[np.float64] | None = None  # [arms] USD that a cache of the whole prompt would take
    prompt_tokens: int = 0  # 0: not known
    steps: float = 0.0  # that are expected to follow in the session, where caches make their prompts cheaper
    time_cost: NDArray[np.float64] | None = (
        None  # [arms] USD beside those of tokens: of time, and less what idle GPUs cost anyway; None: nothing
    )
    cost_ratio: float = 1.0  # what answers have lately cost, of what was expected of them

    def afresh(self) -> Query:
        """The same request as if nobody had answered before it."""
        query = self._replace(previous=None, cache_saving=None)
        if self.cache_saving is None:
            return query
        prompt = None if self.prompt_cost is None else self.prompt_cost + self.cache_saving
        return query._replace(expected_cost=self.expected_cost + self.cache_saving, prompt_cost=prompt)

    def among(self, candidates: tuple[int, ...]) -> Query:
        """The same request with other candidates."""
        return self if candidates == self.candidates else self._replace(candidates=candidates)


class Scores(NamedTuple):
    """Of `Query.candidates`, in that order. A greedy policy takes the highest of `values`."""

    values: list[float]
    means: list[float]  # expected reward
    bonuses: list[float]  # of exploration (optimism), in units of reward; `values` is the sum where a policy has one
    costs: list[float]  # USD that the policy expects


@dataclass(slots=True)
class Choice:
    """One arm, and what an off-policy estimate needs to know of how it was chosen."""

    arm: int
    candidates: tuple[int, ...]  # that were scored: `Query.candidates` without the arms over their cost ceiling
    scores: list[float]
    means: list[float]
    bonuses: list[float]
    costs: list[float]  # USD that were expected
    cost_weight: float  # what one USD took from a reward; 0 where cost isn't subtracted
    propensity: float | None  # probability with which `arm` was chosen; None: `resolve` estimates it
    reason: str  # "policy:<name>", "explore", "sticky", "low_confidence", "guard", "only_candidate", "fallback:scores"
    estimate: Callable[[], float] | None = field(default=None, repr=False, compare=False)

    @property
    def ranking(self) -> tuple[int, ...]:
        """Candidates best first, the chosen one in front: the order of fallback."""
        scores = self.scores
        order = sorted(range(len(scores)), key=lambda i: (self.candidates[i] != self.arm, -scores[i]))
        return tuple(self.candidates[i] for i in order)

    def resolve(self) -> float:
        """The propensity; a Thompson policy's is estimated at the first call, so call it off the hot path."""
        if self.propensity is None:
            self.propensity = self.estimate() if self.estimate else 1.0
            self.estimate = None
        return self.propensity


def doubt(means: Sequence[float], bonuses: Sequence[float]) -> float:
    """From 0, the best arm is surely better than the next, to 1, both are alike: by the width of their bounds."""
    if len(means) < 2:
        return 0.0
    best, second = sorted(range(len(means)), key=means.__getitem__, reverse=True)[:2]
    width = bonuses[best] + bonuses[second]
    return max(0.0, 1.0 - (means[best] - means[second]) / width) if width > 0 else 0.0
