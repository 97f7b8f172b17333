"""What a policy is given, what it answers, and what a policy is.

Arms are indices in the order of `models` in `router.yaml`; names are for people and logs (`Policy.arms`).
Scores are plain lists: at a handful of candidates arithmetic on floats is several times faster than on numpy arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from router_backend.contract import TASKS

if TYPE_CHECKING:
    from router_backend.bandits.rewards.reward import Reward
    from router_backend.bandits.rules import Rules
    from router_backend.bandits.shares import Shares


@dataclass(slots=True, kw_only=True)
class Query:
    """One request, as a policy sees it."""

    context: NDArray[np.float32]  # [CONTEXT_DIM], layout of routing.context
    candidates: tuple[int, ...]  # arms that may answer, ascending, at least one
    expected_cost: NDArray[np.float64]  # [arms] USD; NaN where unknown: the policy's learned cost is taken
    # What a policy may learn beyond `expected_cost`: the cost of answers, beside what is known. None: it is taken as it is.
    prompt_cost: NDArray[np.float64] | None = None  # [arms] USD at list price, not part of the costs that are learned
    answer_limit: NDArray[np.float64] | None = None  # [arms] USD of the longest answer that is allowed; None: no limit
    task: str = TASKS[0]
    task_probabilities: Sequence[float] | NDArray[np.float32] = ()
    complexity: float = 0.0
    confidence: float = 1.0  # probability of `task`
    previous: int | None = None  # the arm that answered the session's last request


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
    explored: bool  # the exploration floor chose, against the policy's own pick
    reason: str  # "policy:<name>", "explore", "low_confidence", "only_candidate", "fallback:scores"
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


class Reader(Protocol):
    """A policy that can be asked. A snapshot is one whose statistics never change: any thread may ask it.

    `reward` and `shares` are this process's own running controls (the price of cost under a budget, the shares so far)
    and are the same objects in every snapshot of a policy.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """Name and a hash of configuration and arms: two policies of one version decide by one rule."""
        ...

    @property
    def reason(self) -> str:
        """Why its own pick was chosen: "policy:<name>"."""
        ...

    @property
    def arms(self) -> tuple[str, ...]: ...

    @property
    def rules(self) -> Rules: ...

    @property
    def reward(self) -> Reward: ...

    @property
    def shares(self) -> Shares | None: ...

    @property
    def stochastic(self) -> bool:
        """Whether the pick itself is drawn (Thompson), so that its probability is known by estimate only."""
        ...

    @property
    def counts(self) -> NDArray[np.float64]:
        """FP64 [arms]: observations, discounted, the prior's included."""
        ...

    def floors(self, candidates: tuple[int, ...]) -> tuple[list[float], float]:
        """Probability that each candidate has whatever its score (`Rules.floors`), and the sum."""
        ...

    def scores(self, query: Query) -> Scores:
        """Scores of `query.candidates`; without randomness."""
        ...

    def qualities(self, query: Query) -> list[float]:
        """Expected quality of `query.candidates`, cost aside; 1 where a policy knows nothing of it."""
        ...

    def draw(self, query: Query, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        """Sampled values [size, candidates] of a stochastic policy; others repeat `scores(query).values`."""
        ...

    def probabilities(self, query: Query, rng: np.random.Generator | None = None) -> NDArray[np.float64]:
        """Probability of each of `query.candidates` under `selection.select`; by Monte Carlo if `stochastic`."""
        ...


class Policy(Reader, Protocol):
    """A policy that learns. One thread updates it; others ask its snapshots."""

    def update(self, context: NDArray[np.float32], arm: int, quality: float, cost: float, at: float) -> None:
        """Fold one observation in. An observation with a number that isn't finite is left out.

        Args:
            context: FP32 [CONTEXT_DIM].
            quality: in [0, 1].
            cost: USD; without the prompt's at list price, where queries have a `prompt_cost`.
            at: Unix seconds, the time of the decision: discounting by it is independent of the order of arrival.
        """
        ...

    def update_many(
        self,
        contexts: NDArray[np.float32],
        arms: NDArray[np.intp],
        qualities: NDArray[np.float64],
        costs: NDArray[np.float64],
        at: NDArray[np.float64],
    ) -> None:
        """As `update`, for n observations: [n, CONTEXT_DIM], [n] ×4."""
        ...

    def snapshot(self) -> Reader:
        """An immutable copy; cheap, because statistics are copied only when an arm is next updated."""
        ...

    def adopt(self, other: Policy) -> bool:
        """Take over the statistics of arms of the same name; False: incompatible, learn again from the event log."""
        ...
