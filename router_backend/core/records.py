"""What the store keeps. Plain immutable values; times are Unix seconds, money is USD, ids are UUIDv7 strings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from router_backend.contract import TASKS

Kind = Literal["routed", "named", "fallback"]
"""`routed`: chosen by a policy. `named`: the client named the model. `fallback`: routing failed and the default was taken."""

JUDGE = "(judge)"
"""The key that pays for judgements; no API key may have that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One choice of an arm, as it was made: all that an off-policy estimate needs."""

    decision_id: str
    created: float
    kind: Kind
    model: str  # the arm chosen
    reason: str
    policy: str = ""
    policy_version: str = ""
    experiment: str = ""
    task: str = ""
    task_probabilities: tuple[float, ...] = ()
    tasks: tuple[str, ...] = ()  # whose probabilities these are; empty: those of `contract.TASKS`
    complexity: float = 0.0
    embedding_space: int = 0
    context: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))  # layout of bandits.context
    candidates: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()  # of `candidates`
    propensity: float | None = None  # of `model`, given `candidates`; None: no policy chose, unusable off-policy
    expected_cost: tuple[float, ...] = ()  # USD, of `candidates`
    cost_weight: float | None = None  # what one USD took from the reward that was expected; None: not recorded
    shadows: tuple[tuple[str, str], ...] = ()  # (shadow policy, the arm it would have chosen)
    session: str = ""  # keyed hash of the session id
    prompt: str = ""  # keyed hash of the prompt, to notice that it is asked again

    @property
    def by_task(self) -> dict[str, float]:
        """Task probabilities by name; empty where nothing was classified."""
        return dict(zip(self.tasks or TASKS, self.task_probabilities, strict=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one answer, as the upstream counted them."""

    prompt: int = 0
    cached: int = 0  # of `prompt`
    completion: int = 0
    reasoning: int = 0  # of `completion`
    cache_write: int = 0  # of `prompt`, none of them `cached`: what a cache took for later, where that is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a decision: who answered, at what cost and how fast."""

    decision_id: str
    completed: float
    served: str  # the arm that answered; differs from the decision's model after a fallback
    status: int  # HTTP status, or 499 when the client left
    finish_reason: str = ""
    usage: Usage = Usage()
    usage_known: bool = False
    cost: float | None = None
    latency: float = 0.0  # seconds, whole answer
    first_token: float | None = None  # seconds
    upstream: float | None = None  # seconds spent in the upstream
    streamed: bool = False
    key: str = ""  # name of the API key
    fault: str = ""  # of a failure: "arm", "client", "router" or "nobody"; empty where it isn't known
    revision: str = ""  # of the model that answered, as `router.yaml` or the upstream names it; empty: not known
    batch_discount: float = 0.0  # USD that the upstream's Batch API took off; `cost` is what is left

    @property
    def ordinary_cost(self) -> float | None:
        """USD at the model's ordinary price: by it routing is judged, which has no part in a Batch API's discount."""
        return None if self.cost is None else self.cost + self.batch_discount


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """A score that somebody, or a configured signal, gave an answer."""

    decision_id: str
    received: float
    score: float  # [0, 1]
    cost: float | None = None  # overrides the outcome's
    task: str = ""  # the right label, where the giver knows it
    tags: str = ""  # JSON object
    implicit: str = ""  # name of the signal; empty for a person's or a program's score
    judged: dict[str, float] = field(default_factory=dict)  # by signal: the scores whose place this one took
    selected: float = 1.0  # probability that this answer was chosen to be scored, given what was known before it


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningEvent:
    """One observation for the bandit. The log of these is the state; statistics are sums over it."""

    sequence: int  # position in the store's log
    decision_id: str
    arm: str  # the arm that answered
    at: float  # time of the decision: discounting by it keeps the sum independent of order
    embedding_space: int
    context: NDArray[np.float32]
    task: str
    quality: float
    cost: float
    output_tokens: int | None = None
    usage: Usage | None = None  # None: not known, or `cost` is not its price but the feedback's own
    source: str = ""  # of `quality`: name of the signal; empty: somebody's score
    judged: dict[str, float] = field(default_factory=dict)  # by signal: what else the answer was scored with
    revision: str = ""  # of the model that answered, as `router.yaml` or the upstream names it; empty: not known


class Scored(NamedTuple):
    """What a score has come to; it is durable."""

    reward: float  # that was learned
    score: float  # that counts: the given one, or that of the decision's first feedback
    duplicate: bool  # the decision had one already


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackResult:
    """What became of a feedback: `duplicate` if the decision had one already (the first is kept)."""

    decision: Decision
    outcome: Outcome | None
    arm: str
    quality: float
    cost: float
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class KeptFeedback:
    """A feedback as the store keeps it: with what it was credited with, and why it doesn't teach yet (state.credit)."""

    feedback: Feedback
    arm: str
    quality: float
    cost: float
    pending: str = ""


class Recorded(NamedTuple):
    """All that a store has about one decision; its context is left out."""

    decision: Decision
    outcome: Outcome | None = None
    kept: KeptFeedback | None = None


class Place(NamedTuple):
    """Where a decision stands among all: by its time, then by its id."""

    created: float
    decision_id: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many decisions and feedback an arm has had, pruned ones included."""

    arm: str
    decisions: int
    feedback: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """An answer that its client may ask for again, with what it answers: the only text that a store keeps, and no record of
    what was learned, so that exports leave it out."""

    response_id: str
    key: str  # name of the API key that it belongs to; empty: there were none
    created: float
    body: bytes  # JSON, the gateway's own


class Bound(NamedTuple):
    """Of the answers that are stored of one key; beyond it the oldest go."""

    answers: int
    size: int  # bytes of their bodies

    def beyond(self, kept: Iterable[tuple[str, int]]) -> list[str]:
        """Ids of what goes, of (id, bytes), the latest first; the latest stays whatever its size."""
        gone, total = [], 0
        for place, (name, size) in enumerate(kept):
            total += size
            if place and (place >= self.answers or total > self.size):
                gone.append(name)
        return gone


Record = Decision | Outcome | KeptFeedback | LearningEvent | Tally
"""All that a store keeps."""
