"""The shared store of several replicas, in Redis or Valkey.

The log is a stream whose entry ids are numbered by the script that adds them. A feedback, its event and its count are
written by one script, which Redis runs, and writes to its append-only file, as one step.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from router_backend.core.garbage import no_collections
from router_backend.core.observations import Observations
from router_backend.core.records import (
    Bound,
    Decision,
    Feedback,
    FeedbackResult,
    LearningEvent,
    Outcome,
    Place,
    Recorded,
    StoredResponse,
)
from router_backend.core.signals import precedence
from router_backend.state.base import GROUP, FeedbackStore
from router_backend.state.codec import decode, encode
from router_backend.state.compaction import Compaction
from router_backend.state.credit import credit, in_place_of, learning_event, pending_kind
from router_backend.state.rates import GATEWAY_SECONDS, KEPT_SECONDS, Levels, Use
from router_backend.state.redis import scripts
from router_backend.state.redis.archive import RedisArchive
from router_backend.state.redis.client import RedisClient
from router_backend.state.redis.compaction import COMPACTED, POSITIONS, RedisCompaction
from router_backend.state.redis.outbox import OUTBOX, RedisOutbox
from router_backend.state.redis.recent import RECENT, get_recent, get_recorded
from router_backend.state.redis.values import (
    decision_of,
    decision_value,
    event_of,
    observations_of_entries,
    outcome_of,
    response_of,
    response_value,
    spend_expires,
    split_event,
)
from router_backend.state.spend import charges, periods
from router_backend.state.store import CHECKPOINT_DAYS, Archive, Outbox, UnknownDecision


class RedisStore(FeedbackStore):
    """A `Store` in Redis. Thread-safe. Decisions, outcomes and feedback expire by themselves after the retention."""

    def __init__(self, url: str, retention_days: float = 90.0, timeout: float = 1.0, create: bool = True) -> None:
        """Connect, and check that the server keeps what it acknowledges; see RedisClient."""
        super().__init__()
        self._client = RedisClient(url, timeout, create)
        self._retention = retention_days * 86_400
        self._log_keys = tuple(map(self._client.key, ("events", "sequence", "feedbacks")))
        self._pending_keys = tuple(self._client.key("pending", kind) for kind in ("implicit", "unanswered"))
        self._outbox_key = self._client.key(OUTBOX)

    def append(self, decisions: Sequence[Decision], outcomes: Sequence[Outcome]) -> None:
        keys = [self._client.key("decisions"), self._client.key(RECENT)]
        arguments: list[Any] = [len(decisions)]
        for decision in decisions:
            keys.append(self._client.key("decision", decision.decision_id))
            arguments += [decision_value(decision), self._seconds_left(decision.created)]
            arguments += [decision.model, decision.decision_id, decision.created]
        for outcome in outcomes:
            keys.append(self._client.key("outcome", outcome.decision_id))
            keys += [self._client.key("spend", period) for period in periods(outcome.completed)]
            usd = next((usd for _, _, usd in charges(outcome)), "")
            arguments += [encode(outcome), self._seconds_left(outcome.completed)]
            arguments += [outcome.key, usd, spend_expires(outcome), outcome.decision_id]
        self._client.run(scripts.APPEND, [*keys, self._outbox_key], arguments)

    def _commit_feedback(self, feedbacks: Sequence[Feedback]) -> list[FeedbackResult | UnknownDecision]:
        results: list[FeedbackResult | UnknownDecision] = []
        keys = [*self._log_keys, *self._pending_keys]
        positions = []
        arguments: list[Any] = []
        subjects, before = self._subjects(feedbacks, new=True)
        for index, (feedback, subject) in enumerate(zip(feedbacks, subjects, strict=True)):
            if subject is None:
                results.append(UnknownDecision(feedback.decision_id))
                continue
            # As it was before the script, which decides what gives way.
            kept = before.get(feedback.decision_id)
            feedback = in_place_of(feedback, kept)
            if kept is None or precedence(feedback.implicit) > precedence(kept.implicit):
                before[feedback.decision_id] = feedback
            result = credit(*subject, feedback)
            pending = pending_kind(*subject, feedback)
            keys.append(self._client.key("feedback", feedback.decision_id))
            arguments += [feedback.decision_id, feedback.received, self._seconds_left(feedback.received)]
            arguments += [precedence(feedback.implicit), pending, result.arm, result.quality, result.cost]
            arguments += [encode(feedback), *split_event(None if pending else learning_event(result, feedback))]
            results.append(result)
            positions.append(index)
        # Also when all are unknown: only a store that is the right one and takes writes can say so, as a decision may
        # still wait to be written.
        replies = self._client.run(scripts.FEEDBACK, [*keys, self._outbox_key], arguments)
        for index, reply in zip(positions, replies, strict=True):
            if reply:
                arm, quality, cost = reply
                result = cast(FeedbackResult, results[index])
                results[index] = replace(
                    result, arm=arm.decode(), quality=float(quality), cost=float(cost), duplicate=True
                )
        return results

    def settle(self, implicit_before: float, unanswered_before: float) -> int:
        return self._settle("implicit", implicit_before) + self._settle("unanswered", unanswered_before)

    def _settle(self, kind: str, before: float) -> int:
        pending_key, events = self._client.key("pending", kind), 0
        while True:
            with self._client.errors():
                members = self._client.raw.zrangebyscore(pending_key, "-inf", f"({before}", start=0, num=GROUP)
                ids = [member.decode() for member in cast("list[bytes]", members)]
                if not ids:
                    return events
                bodies = self._client.pipelined(
                    ("HGET", self._client.key("feedback", decision_id), "body") for decision_id in ids
                )
            feedbacks = [decode(Feedback, body) if body else None for body in bodies]
            kept = [feedback for feedback in feedbacks if feedback is not None]
            subjects = iter(self._subjects(kept, new=False)[0])
            keys = [*self._log_keys, pending_key]
            arguments: list[Any] = []
            for decision_id, feedback in zip(ids, feedbacks, strict=True):
                subject = next(subjects) if feedback is not None else None
                keys.append(self._client.key("feedback", decision_id))
                if feedback is None or subject is None:
                    arguments += [decision_id, "", "", "", ""]
                    continue
                result = credit(*subject, feedback)
                arguments += [decision_id, result.arm, result.cost]
                arguments += split_event(learning_event(result, feedback))
            events += int(self._client.run(scripts.SETTLE, [*keys, self._outbox_key], arguments))

    def decision(self, decision_id: str) -> Decision | None:
        with self._client.errors():
            return decision_of(cast("bytes | None", self._client.raw.get(self._client.key("decision", decision_id))))

    def outcome(self, decision_id: str) -> Outcome | None:
        with self._client.errors():
            return outcome_of(cast("bytes | None", self._client.raw.get(self._client.key("outcome", decision_id))))

    def recorded(self, decision_id: str) -> Recorded | None:
        return get_recorded(self._client, [decision_id])[0]

    def recent(self, before: Place | None, limit: int) -> list[Recorded]:
        return get_recent(self._client, before, limit)

    def events(self, after: int, limit: int = 1000) -> list[LearningEvent]:
        with self._client.errors():
            entries = self._client.raw.xrange(self._client.key("events"), min=f"{after + 1}-0", count=limit)
        return [event_of(entry) for entry in cast("Any", entries)]

    def observations(self, after: int, limit: int = 1000) -> Observations:
        page = ("XRANGE", self._client.key("events"), f"{after + 1}-0", "+", "COUNT", limit)
        with no_collections():
            (found,) = self._client.exchange([page])
            return observations_of_entries(found)

    def event_count(self) -> int:
        with self._client.errors():
            both = self._client.raw.pipeline(transaction=True)  # the log may be shortened between two reads
            both.hget(self._client.key(COMPACTED), "events")
            both.xlen(self._client.key("events"))
            removed, kept = both.execute()
        return int(removed or 0) + int(kept)

    def log_end(self) -> int:
        with self._client.errors():
            return int(cast("bytes | None", self._client.raw.get(self._client.key("sequence"))) or 0)

    def counts(self) -> dict[str, dict[str, int]]:
        kinds = ("decisions", "feedbacks")
        decisions, feedbacks = self._client.pipelined(("HGETALL", self._client.key(kind)) for kind in kinds)
        return {
            arm.decode(): {"decisions": int(decisions.get(arm, 0)), "feedback": int(feedbacks.get(arm, 0))}
            for arm in sorted({*decisions, *feedbacks})
        }

    def spend(self, period: str) -> dict[str, float]:
        with self._client.errors():
            spending = cast("dict[bytes, bytes]", self._client.raw.hgetall(self._client.key("spend", period)))
        return {key.decode(): float(usd) for key, usd in spending.items()}

    def prune(self, before: float, done: bool = False) -> int:
        """Redis removes what is past its retention by itself; this removes what is younger, too."""
        if before <= time.time() - self._retention:
            return 0
        removed = [self._prune(kind, before) for kind in ("decision", "outcome", "feedback", "response")]
        return removed[0]

    def _prune(self, kind: str, before: float) -> int:
        removed = 0
        for keys in self._client.scan(kind):
            read = [("HGET", key, "body") if kind == "feedback" else ("GET", key) for key in keys]
            values = self._client.pipelined(read)
            old = [key for key, value in zip(keys, values, strict=True) if value and _TIMES[kind](value) < before]
            if old:
                with self._client.errors():
                    self._client.raw.delete(*old)
            removed += len(old)
        return removed

    def keep_response(self, response: StoredResponse, bound: Bound | None = None) -> None:
        name, left = response.response_id, self._seconds_left(response.created)
        index = self._client.key("responses", hashlib.sha256(response.key.encode()).hexdigest()[:32])
        arguments = [response_value(response), left, name, response.created]
        self._client.run(scripts.KEEP_RESPONSE, [self._client.key("response", name), index], arguments)
        if bound is not None:
            self._drop_responses(index, bound)

    def _drop_responses(self, index: str, bound: Bound) -> None:
        """What an index of one key's answers has beyond the bound; and what isn't there any more."""
        names = [name.decode() for name in self._client.pipelined([("ZREVRANGE", index, 0, -1)])[0]]
        keys = [self._client.key("response", name) for name in names]
        sizes = self._client.pipelined([("STRLEN", key) for key in keys])
        kept = [(name, size) for name, size in zip(names, sizes, strict=True) if size]
        gone = set(bound.beyond(kept))
        old = [key for name, key in zip(names, keys, strict=True) if name in gone]
        away = gone.union(names).difference(name for name, _ in kept if name not in gone)
        if away:
            self._client.pipelined([("DEL", *old)] * bool(old) + [("ZREM", index, *away)])

    def response(self, response_id: str) -> StoredResponse | None:
        with self._client.errors():
            value = cast("bytes | None", self._client.raw.get(self._client.key("response", response_id)))
        return None if value is None else response_of(response_id, value)

    def forget_response(self, response_id: str) -> bool:
        return bool(self._client.run(scripts.FORGET_RESPONSE, [self._client.key("response", response_id)], []))

    def log(self) -> str:
        key = self._client.key("log")
        with self._client.errors():
            self._client.raw.setnx(key, secrets.token_hex(16))
            return cast(bytes, self._client.raw.get(key)).decode()

    def checkpoints(self, key: str) -> list[bytes]:
        bodies = self._client.pipelined([("HMGET", self._client.key("checkpoint", key), "body", "previous")])[0]
        return [body for body in bodies if body is not None]

    def save_checkpoint(self, key: str, log: str, sequence: int, data: bytes) -> bool:
        keys = [self._client.key("log"), self._client.key("checkpoint", key), self._client.key(POSITIONS)]
        arguments = [log, sequence, data, int(86_400 * CHECKPOINT_DAYS), key]
        return bool(self._client.run(scripts.CHECKPOINT, keys, arguments))

    def claim(self, name: str, holder: str, seconds: float) -> bool:
        return bool(self._client.run(scripts.CLAIM, [self._client.key("lease", name)], [holder, int(1000 * seconds)]))

    def draw(self, gateway: str, uses: Sequence[Use]) -> Levels:
        keys = [self._client.key("gateways"), *(self._client.key("rate", use.name) for use in uses)]
        arguments: list[Any] = [gateway, GATEWAY_SECONDS, int(KEPT_SECONDS)]
        for use in uses:
            arguments += [use.per_minute, use.used]
        gateways, *left = self._client.run(scripts.DRAW, keys, arguments, durable=False)
        return Levels(gateways=gateways, left={use.name: float(each) for use, each in zip(uses, left, strict=True)})

    def compaction(self) -> Compaction:
        return RedisCompaction(self._client)

    def archive(self) -> Archive:
        return RedisArchive(self._client, self._seconds_left)

    def outbox(self) -> Outbox:
        return RedisOutbox(self._client, self.log)

    def close(self) -> None:
        self._client.close()

    def _seconds_left(self, since: float) -> int:
        """Of the retention of what was made at a time, for EXPIRE."""
        return max(1, int(since + self._retention - time.time()))

    def _subjects(
        self, feedbacks: Sequence[Feedback], new: bool
    ) -> tuple[list[tuple[Decision, Outcome | None] | None], dict[str, Feedback]]:
        """(decision and outcome of each feedback, None where there is no decision; of `new` ones what the decisions have already, by decision)."""
        if not feedbacks:
            return [], {}
        key, ids = self._client.key, [feedback.decision_id for feedback in feedbacks]
        kept = [key("feedback", each) for each in ids]
        values, scored = self._client.exchange(
            [("MGET", *(key(kind, each) for each in ids for kind in ("decision", "outcome"))), ("EXISTS", *kept)]
        )
        # Most decisions have no feedback yet, and one question says so of all.
        bodies = self._client.exchange([("HGET", each, "body") for each in kept]) if new and scored else []
        pairs = zip(map(decision_of, values[::2]), map(outcome_of, values[1::2]), strict=True)
        subjects = [None if decision is None else (decision, outcome) for decision, outcome in pairs]
        return subjects, {each: decode(Feedback, body) for each, body in zip(ids, bodies, strict=False) if body}


# When a kept value began to age, by the kind of its key.
_TIMES: dict[str, Callable[[bytes], float]] = {
    "decision": lambda value: decode(Decision, value.partition(b"\n")[0]).created,
    "outcome": lambda value: decode(Outcome, value).completed,
    "feedback": lambda value: decode(Feedback, value).received,
    "response": lambda value: response_of("", value).created,
}
