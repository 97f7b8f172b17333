"""The protocol of a state store; `sqlite`, `redis` and `dynamodb` implement it.

Only Triton's models open a store; gateways report through the `feedback` model. Calls block: the hot path never makes one.
The store is an append-only log of learning events, which every router folds into its own statistics. Statistics are sums,
so routers that have read the same events hold the same statistics, whatever the order of arrival, and an event (0.7 KB)
is cheaper to exchange than a matrix (128 KB).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from router_backend.core.observations import Observations
from router_backend.core.records import (
    Bound,
    Decision,
    Feedback,
    FeedbackResult,
    KeptFeedback,
    LearningEvent,
    Outcome,
    Place,
    Record,
    Recorded,
    StoredResponse,
)
from router_backend.state.compaction import Compaction
from router_backend.state.rates import Levels, Use

CHECKPOINT_DAYS = 30.0

RECENT_KEPT = 100_000
"""Decisions that `Store.recent` goes back to at least, within their retention: a store may forget the order of older ones."""

NEVER_TAKEN = 30 * 86_400.0


class StoreError(RuntimeError):
    """The store can't be used now (down, full, locked): nothing was written; try again later."""


class StoreMisconfigured(StoreError):
    """The store must not be used as it is (Redis without its append-only file, a newer schema); says what to change."""


class StoreReplaced(StoreError):
    """What is there now isn't the store that this process began with; nothing is acknowledged until somebody decides."""


class StoreMissing(StoreError):
    """There is no store yet, and the caller didn't ask to make one."""


REPLACED_ADVICE = (
    "nothing is acknowledged until the former one is back (restore its files, or a backup of them);"
    " to go on with what is there now, restart the routers"
)


MISSING_ADVICE = "no state yet; it is made when the router starts (or --state-dir or `state:` names another place)"


class UnknownDecision(KeyError):
    """No decision of that id: never made, or past its retention."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """Records out of an `Outbox`, with the store's own note of where they begin and end."""

    records: Sequence[Decision | Outcome | KeptFeedback | LearningEvent]
    log: str  # the name of the log that the events are of
    begins: Mapping[str, str | int]
    ends: Mapping[str, str | int]


class Archive(Protocol):
    """All that a store keeps, to copy it or to start from nothing. For the command line; every method may raise StoreError."""

    def records(self) -> Iterator[Record]:
        """Everything but stored responses: decisions, outcomes, feedback, events in order, tallies."""
        ...

    def restore(self, records: Sequence[Record]) -> None:
        """Write a group as it was kept, durably; events go to the log's end. For a store that was empty."""
        ...

    def empty(self) -> bool: ...

    def clear(self) -> None:
        """Remove everything. Sequences go on, so that a router that runs meanwhile overlooks no later event."""
        ...


class Outbox(Protocol):
    """What was written and isn't in the archive yet, in order; every method may raise StoreError.

    Feedback appears when it is final. A record may appear again after it was done.
    """

    def take(self, limit: int) -> Parcel:
        """The next records, about `limit` of each kind at most; the same ones again until they are `done`."""
        ...

    def done(self, parcel: Parcel) -> bool:
        """What was taken is kept elsewhere. False, and nothing happens, if somebody else was done with some of it."""
        ...

    def behind(self) -> float:
        """Seconds since the oldest record that isn't done was written; 0: there is none. A store that nobody has taken from yet may say
        `NEVER_TAKEN`."""
        ...


class Store(Protocol):
    """Thread-safe; every method may raise StoreError."""

    @property
    def idle_seconds(self) -> float:
        """The longest pause between two looks at the log, while nothing new comes: where each look is paid, it is longer."""
        ...

    def append(self, decisions: Sequence[Decision], outcomes: Sequence[Outcome]) -> None:
        """Write a group durably, all or nothing. Writing an id again changes nothing."""
        ...

    def add_feedback(self, feedback: Feedback) -> FeedbackResult:
        """Write a feedback and its learning event in one durable step; durable when this returns.

        The first feedback is kept and later ones are duplicates, with one exception: an implicit one is pending until
        `settle`, and one of higher precedence (core.signals), such as an explicit one, replaces it meanwhile. One that comes before the outcome of a recent decision is
        pending, too, so that the arm that answered is credited. So the log holds final observations only, and a sum
        never has to be taken back. A decision without context (a named model, a degraded one) is counted and teaches
        nothing.

        Raises:
            UnknownDecision: no such decision.
        """
        ...

    def add_feedback_many(self, feedbacks: Sequence[Feedback]) -> list[FeedbackResult | UnknownDecision]:
        """As `add_feedback`, for a group in one durable step; an unknown decision fails only its own feedback."""
        ...

    def settle(self, implicit_before: float, unanswered_before: float) -> int:
        """Turn pending feedback received before these times into learning events, once each; returns how many."""
        ...

    def decision(self, decision_id: str) -> Decision | None: ...

    def outcome(self, decision_id: str) -> Outcome | None: ...

    def recorded(self, decision_id: str) -> Recorded | None:
        """A decision with what became of it."""
        ...

    def recent(self, before: Place | None, limit: int) -> list[Recorded]:
        """The latest decisions, the latest first, or the latest of those before a place; fewer than `limit`: there are no more.

        SQLite finds all; Redis and DynamoDB those that were written since they keep this order.
        """
        ...

    def events(self, after: int, limit: int = 1000) -> list[LearningEvent]:
        """Events with `sequence > after`, in order. A sequence seen once never gains a predecessor later. Those up to the mark of
        `compaction` are gone."""
        ...

    def observations(self, after: int, limit: int = 1000) -> Observations:
        """As `events`, by column."""
        ...

    def event_count(self) -> int:
        """Length of the log, with what was removed from its beginning."""
        ...

    def log_end(self) -> int:
        """Sequence of the log's last event; of an empty log, that of the last one before it, or 0."""
        ...

    def counts(self) -> dict[str, dict[str, int]]:
        """`{arm: {"decisions": n, "feedback": n}}`."""
        ...

    def spend(self, period: str) -> dict[str, float]:
        """USD by API key in a day or a month (`state.spend.periods`): the cost of the outcomes that were written."""
        ...

    def prune(self, before: float, done: bool = False) -> int:
        """Remove decisions, outcomes, feedback and stored responses created before a time; learning events stay. Returns how
        many decisions.

        With `done`, those stay that the outbox still has.
        """
        ...

    def keep_response(self, response: StoredResponse, bound: Bound | None = None) -> None:
        """Write an answer durably, for as long as the decisions of its time; what the key has beyond `bound` goes. Writing an id
        again changes nothing. A store refuses (StoreError) what is larger than its database takes."""
        ...

    def response(self, response_id: str) -> StoredResponse | None:
        """Whoever asks: the caller looks at its key."""
        ...

    def forget_response(self, response_id: str) -> bool:
        """Remove one for good; False if there is none."""
        ...

    def log(self) -> str:
        """The name of the log that `events` reads, which `clear` changes: what was learned of another isn't of this one."""
        ...

    def checkpoints(self, key: str) -> list[bytes]:
        """What `save_checkpoint` kept under a key, the latest first."""
        ...

    def save_checkpoint(self, key: str, log: str, sequence: int, data: bytes) -> bool:
        """Keep what was learned of a log up to an event, and the one before it. False if the log is another one by now,
        or there is a later checkpoint. What nobody has written for `CHECKPOINT_DAYS` is removed."""
        ...

    def claim(self, name: str, holder: str, seconds: float) -> bool:
        """Take a lease, or prolong one's own; False while somebody else holds it. It ends by itself."""
        ...

    def draw(self, gateway: str, uses: Sequence[Use]) -> Levels:
        """Take what a gateway has used from the buckets of `state.rates`, each once, whether there is as much or not; returns what is
        left. It may be lost with the machine: a bucket is full again a minute later anyway."""
        ...

    def compaction(self) -> Compaction: ...

    def archive(self) -> Archive: ...

    def outbox(self) -> Outbox: ...

    def close(self) -> None: ...
