"""All that a Redis store keeps, to copy it or to start from nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from router_backend.core.records import Decision, Feedback, KeptFeedback, LearningEvent, Outcome, Record, Tally
from router_backend.core.signals import precedence
from router_backend.state.codec import decode, encode
from router_backend.state.redis import scripts
from router_backend.state.redis.client import RedisClient
from router_backend.state.redis.compaction import COMPACTED, POSITIONS, READERS
from router_backend.state.redis.outbox import ARCHIVED, OUTBOX
from router_backend.state.redis.recent import RECENT
from router_backend.state.redis.values import (
    decision_of,
    decision_value,
    event_of,
    outcome_of,
    spend_expires,
    split_event,
)
from router_backend.state.spend import charges
from router_backend.state.store import RECENT_KEPT

_PAGE = 1000
_FIXED = ("events", "decisions", "feedbacks", "pending:implicit", "pending:unanswered")  # not `sequence`: it goes on
_KINDS = ("decision", "outcome", "feedback", "spend", "response")
_FEEDBACK_FIELDS = ("body", "arm", "quality", "cost", "pending")


class RedisArchive:
    """The `Archive` of a key prefix. What is written while it is read may be in the copy or not."""

    def __init__(self, client: RedisClient, seconds_left: Callable[[float], int]) -> None:
        """`seconds_left`: of the retention of what was made at a time."""
        self._client = client
        self._seconds_left = seconds_left

    def records(self) -> Iterator[Record]:
        for keys in self._client.scan("decision"):
            yield from filter(None, map(decision_of, self._client.pipelined(("GET", key) for key in keys)))
        for keys in self._client.scan("outcome"):
            yield from filter(None, map(outcome_of, self._client.pipelined(("GET", key) for key in keys)))
        for keys in self._client.scan("feedback"):
            for fields in self._client.pipelined(("HMGET", key, *_FEEDBACK_FIELDS) for key in keys):
                if fields[0] is not None:
                    body, arm, quality, cost, pending = fields
                    feedback = decode(Feedback, body)
                    yield KeptFeedback(feedback, arm.decode(), float(quality), float(cost), pending.decode())
        yield from self._events()
        tallies = self._client.pipelined(("HGETALL", self._client.key(kind)) for kind in ("decisions", "feedbacks"))
        for arm in sorted({*tallies[0], *tallies[1]}):
            yield Tally(arm.decode(), *(int(tally.get(arm, 0)) for tally in tallies))

    def _events(self) -> Iterator[LearningEvent]:
        after = 0
        while True:
            with self._client.errors():
                page = self._client.raw.xrange(self._client.key("events"), min=f"{after + 1}-0", count=_PAGE)
            events = [event_of(entry) for entry in cast("Any", page)]
            if not events:
                return
            yield from events
            after = events[-1].sequence

    def restore(self, records: Sequence[Record]) -> None:
        events = [record for record in records if isinstance(record, LearningEvent)]
        keys = [self._client.key("events"), self._client.key("sequence")]
        arguments: list[Any] = [len(events), *(part for event in events for part in split_event(event))]
        for name, key, *words in (command for record in records for command in self._commands(record)):
            keys.append(key)
            arguments += [2 + len(words), name, len(keys), *words]
        self._client.run(scripts.RESTORE, keys, arguments)
        with self._client.errors():
            self._client.raw.delete(self._client.key(OUTBOX))  # an archive begins with all there is

    def _commands(self, record: Record) -> list[tuple[Any, ...]]:
        """What writes a record that is no event; the second word of each command is its key."""
        key = self._client.key
        match record:
            case Decision():
                expiry = self._seconds_left(record.created)
                return [
                    ("SET", key("decision", record.decision_id), decision_value(record), "EX", expiry),
                    ("ZADD", key(RECENT), record.created, record.decision_id),
                    ("ZREMRANGEBYRANK", key(RECENT), 0, -1 - RECENT_KEPT),
                ]
            case Outcome():
                expiry = self._seconds_left(record.completed)
                commands: list[tuple[Any, ...]] = [
                    ("SET", key("outcome", record.decision_id), encode(record), "EX", expiry)
                ]
                for period, payer, usd in charges(record):
                    commands.append(("HINCRBYFLOAT", key("spend", period), payer, usd))
                    commands.append(("EXPIREAT", key("spend", period), spend_expires(record)))
                return commands
            case LearningEvent():
                return []
            case Tally():
                return [
                    ("HINCRBY", key("decisions"), record.arm, record.decisions),
                    ("HINCRBY", key("feedbacks"), record.arm, record.feedback),
                ]
            case KeptFeedback(feedback, arm, quality, cost, pending):
                name = key("feedback", feedback.decision_id)
                fields = (encode(feedback), arm, quality, cost, pending)
                words = [word for pair in zip(_FEEDBACK_FIELDS, fields, strict=True) for word in pair]
                words += ["precedence", precedence(feedback.implicit)]
                commands = [("HSET", name, *words), ("EXPIRE", name, self._seconds_left(feedback.received))]
                if pending:
                    commands.append(("ZADD", key("pending", pending), feedback.received, feedback.decision_id))
                return commands

    def empty(self) -> bool:
        with self._client.errors():
            fixed = self._client.raw.exists(*map(self._client.key, _FIXED))
        return not fixed and not any(True for kind in _KINDS for _ in self._client.scan(kind))

    def clear(self) -> None:
        with self._client.errors():
            gone = (
                "log",
                OUTBOX,
                RECENT,
                ARCHIVED,
                READERS,
                POSITIONS,
                COMPACTED,
                *_FIXED,
            )  # the log that comes is another one
            self._client.raw.delete(*map(self._client.key, gone))
        for kind in (*_KINDS, "responses", "checkpoint"):
            for keys in self._client.scan(kind):
                with self._client.errors():
                    self._client.raw.delete(*keys)
