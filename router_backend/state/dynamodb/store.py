"""The shared store of several replicas in a DynamoDB table.

Conditions make each write count once: a record is put where there is none, a feedback where there still is what was read. A
feedback, its event and its count are one transaction. Two transactions at the same item exclude each other, and the one
that is refused reads again; groups (state.group_commit) keep that rare.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

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
    Recorded,
    StoredResponse,
)
from router_backend.core.signals import precedence
from router_backend.state.base import FeedbackStore
from router_backend.state.compaction import Compaction
from router_backend.state.credit import credit, in_place_of, learning_event, pending_kind
from router_backend.state.dynamodb.archive import DynamoArchive
from router_backend.state.dynamodb.checkpoints import claim, get_checkpoints, save_checkpoint
from router_backend.state.dynamodb.client import Action, Cancelled, DynamoClient
from router_backend.state.dynamodb.compaction import DynamoCompaction
from router_backend.state.dynamodb.items import (
    Item,
    Key,
    alive,
    decision_item,
    decision_of,
    feedback_of,
    listed_item,
    listed_key,
    listed_partition,
    outcome_item,
    outcome_of,
    received_digits,
    response_item,
    response_key,
    response_of,
    text,
)
from router_backend.state.dynamodb.log import Log
from router_backend.state.dynamodb.outbox import DynamoOutbox
from router_backend.state.dynamodb.rates import draw
from router_backend.state.dynamodb.recent import SHARDS, get_recent, get_recorded, put_places
from router_backend.state.dynamodb.writes import IF_NEW, RECORDS, add_spending, add_tallies, put_feedback, put_new, tell
from router_backend.state.rates import Levels, Use
from router_backend.state.store import Archive, Outbox, UnknownDecision

_KINDS = ("decision", "outcome", "feedback")
_PRUNED = (*_KINDS, "response")


@dataclass(slots=True)
class _Subject:
    """What there is about a decision; `kept` goes on while a group is applied, `read` stays."""

    decision: Decision
    outcome: Outcome | None
    read: KeptFeedback | None
    kept: KeptFeedback | None


@dataclass(slots=True)
class _Change:
    """What a group of feedback writes."""

    subjects: dict[str, _Subject] = field(default_factory=dict)  # whose feedback changes
    events: list[LearningEvent] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    stale: list[Key] = field(default_factory=list)  # entries among those that wait, of decisions past their retention


class DynamoDBStore(FeedbackStore):
    """A `Store` in a table. Thread-safe. Decisions, outcomes and feedback expire by themselves after the retention.

    A group larger than a transaction is several of them. If it fails midway, part of it is written, and writing it again
    writes the rest: ids count once.
    """

    def __init__(self, url: str, retention_days: float = 90.0, timeout: float = 2.0, create: bool = True) -> None:
        super().__init__()
        self._client = DynamoClient(url, timeout, create)
        self._log = Log(self._client)
        self._retention = retention_days * 86_400
        self.idle_seconds = self._client.idle_seconds
        self._shard = f"{random.randrange(SHARDS):02d}"

    def append(self, decisions: Sequence[Decision], outcomes: Sequence[Outcome]) -> None:
        records: list[Decision | Outcome] = [*decisions, *outcomes]
        for start in range(0, len(records), RECORDS):
            self._append(records[start : start + RECORDS])
        self._client.verify()

    def _append(self, records: Sequence[Decision | Outcome]) -> None:
        new: dict[tuple[str, str], tuple[Decision | Outcome, Item]] = {}
        for record in records:
            item = self._item(record)
            new.setdefault((item["pk"]["S"], item["sk"]["S"]), (record, item))
        for _ in self._client.attempts():
            made = [record for record, _ in new.values()]
            decisions = [record for record in made if isinstance(record, Decision)]
            decided = Counter(record.model for record in decisions)
            answered = [record for record in made if isinstance(record, Outcome)]
            actions = [put_new(item) for _, item in new.values()]
            try:
                self._client.transact(
                    actions
                    + add_tallies(self._shard, decided, {})
                    + add_spending(self._shard, answered)
                    + self._told((_kind(record), record.decision_id) for record in made)
                    + put_places(decisions, self._shard, self._expires(time.time()))
                )
                return
            except Cancelled as cancelled:  # those that are there already are left out
                refused = [reason == "ConditionalCheckFailed" for reason in cancelled.reasons[: len(actions)]]
                refused += [False] * (len(new) - len(refused))
                new = {key: value for (key, value), there in zip(new.items(), refused, strict=True) if not there}
                if not new:
                    return

    def _item(self, record: Decision | Outcome) -> Item:
        if isinstance(record, Decision):
            return decision_item(record, self._expires(record.created))
        return outcome_item(record, self._expires(record.completed))

    def _commit_feedback(self, feedbacks: Sequence[Feedback]) -> list[FeedbackResult | UnknownDecision]:
        results: list[FeedbackResult | UnknownDecision] = []
        for start in range(0, len(feedbacks), RECORDS):
            results += self._commit(feedbacks[start : start + RECORDS])
        self._client.verify()
        return results

    def _commit(self, feedbacks: Sequence[Feedback]) -> list[FeedbackResult | UnknownDecision]:
        for _ in self._client.attempts():
            subjects, change = self._subjects(feedback.decision_id for feedback in feedbacks), _Change()
            results = [_apply(change, subjects.get(feedback.decision_id), feedback) for feedback in feedbacks]
            if self._write(change):
                break
        return results

    def _write(self, change: _Change) -> bool:
        """False if others were faster; what was read has to be read again."""
        actions: list[Action] = [{"Delete": {"Key": key.item()}} for key in change.stale]
        for subject in change.subjects.values():
            if subject.kept is not None:
                expires = self._expires(subject.kept.feedback.received)
                before = 0 if subject.read is None else precedence(subject.read.feedback.implicit)
                actions += put_feedback(subject.kept, subject.read, expires, before)
        if not actions:
            # Only a table that takes writes can call a decision unknown: it may still wait to be written.
            self._client.probe()
            return True
        final = [name for name, subject in change.subjects.items() if subject.kept and not subject.kept.pending]
        try:
            self._client.transact(
                actions
                + add_tallies(self._shard, {}, change.counts)
                + self._log.append(change.events)
                + self._told(("feedback", name) for name in final)
            )
        except Cancelled:
            return False
        return True

    def _told(self, records: Iterable[tuple[str, str]]) -> list[Action]:
        return tell(records, self._expires(time.time())) if self._client.archives else []

    def settle(self, implicit_before: float, unanswered_before: float) -> int:
        return self._settle("implicit", implicit_before) + self._settle("unanswered", unanswered_before)

    def _settle(self, kind: str, before: float) -> int:
        events = 0
        while True:
            for _ in self._client.attempts():
                due = self._due(kind, before)
                if not due:
                    return events
                change = _Change()
                subjects = self._subjects(key.sort.partition("#")[2] for key in due)
                for key in due:
                    _teach(change, subjects.get(key.sort.partition("#")[2]), key)
                if self._write(change):
                    events += len(change.events)
                    break
            self._client.verify()

    def _due(self, kind: str, before: float) -> list[Key]:
        due: list[Key] = []
        for item in self._client.query(f"pending#{kind}", below=received_digits(before), limit=RECORDS):
            due.append(Key(item["pk"]["S"], item["sk"]["S"]))
            if len(due) == RECORDS:
                break
        return due

    def decision(self, decision_id: str) -> Decision | None:
        item = self._client.get(Key(decision_id, "decision"))
        return decision_of(item) if item is not None and alive(item, time.time()) else None

    def outcome(self, decision_id: str) -> Outcome | None:
        item = self._client.get(Key(decision_id, "outcome"))
        return outcome_of(item) if item is not None and alive(item, time.time()) else None

    def recorded(self, decision_id: str) -> Recorded | None:
        return get_recorded(self._client, [decision_id])[0]

    def recent(self, before: Place | None, limit: int) -> list[Recorded]:
        return get_recent(self._client, before, limit)

    def events(self, after: int, limit: int = 1000) -> list[LearningEvent]:
        return self._log.events(after, limit)

    def observations(self, after: int, limit: int = 1000) -> Observations:
        return self._log.observations(after, limit)

    def event_count(self) -> int:
        head = self._log.head()
        return head.tail - head.first + 1 + head.removed

    def log_end(self) -> int:
        return self._log.head().tail

    def counts(self) -> dict[str, dict[str, int]]:
        sums: dict[str, Counter[str]] = {"d": Counter(), "f": Counter()}
        for item in self._client.query("tally"):
            for name, value in item.items():
                kind, separator, arm = name.partition(":")
                if separator:
                    sums[kind][arm] += int(value["N"])
        decisions, feedback = sums["d"], sums["f"]
        return {
            arm: {"decisions": decisions[arm], "feedback": feedback[arm]} for arm in sorted({*decisions, *feedback})
        }

    def spend(self, period: str) -> dict[str, float]:
        sums: dict[str, float] = {}
        for item in self._client.query(f"spend#{period}"):
            if alive(item, time.time()):
                key = item["sk"]["S"].rpartition("#")[0]
                sums[key] = sums.get(key, 0.0) + float(item["usd"]["N"])
        return sums

    def prune(self, before: float, done: bool = False) -> int:
        """DynamoDB removes what is past its retention by itself; this removes what is younger, too, and reads the table."""
        if before <= time.time() - self._retention:
            return 0
        values = {":before": {"N": repr(before)}, **{f":{kind}": text(kind) for kind in _PRUNED}}
        kinds = ", ".join(f":{kind}" for kind in _PRUNED)
        old = list(self._client.scan(f"#at < :before AND sk IN ({kinds})", values, "pk, sk"))
        self._client.delete_all(old)
        return sum(key["sk"]["S"] == "decision" for key in old)

    def keep_response(self, response: StoredResponse, bound: Bound | None = None) -> None:
        """Raises StoreError for one that is larger than an item may be (400 KB)."""
        expires = self._expires(response.created)
        put = {"Item": response_item(response, expires), **IF_NEW}
        if self._client.write_if(put, "put_item"):
            self._client.put_all([listed_item(response, expires)])
        if bound is not None:
            self._drop_responses(response.key, bound)
        self._client.verify()

    def _drop_responses(self, key: str, bound: Bound) -> None:
        """What a key has beyond the bound."""
        listed = {item["id"]["S"]: item for item in reversed(list(self._client.query(listed_partition(key))))}
        gone = bound.beyond((name, int(item["size"]["N"])) for name, item in listed.items())
        self._client.delete_all([response_key(name).item() for name in gone])
        self._client.delete_all([{name: listed[one][name] for name in ("pk", "sk")} for one in gone])

    def response(self, response_id: str) -> StoredResponse | None:
        item = self._client.get(response_key(response_id))
        return response_of(item) if item is not None and alive(item, time.time()) else None

    def forget_response(self, response_id: str) -> bool:
        item = self._client.get(response_key(response_id))
        delete = {"Key": response_key(response_id).item(), "ConditionExpression": "attribute_exists(pk)"}
        found = self._client.write_if(delete, "delete_item")
        if item is not None:
            self._client.delete_all([listed_key(response_of(item)).item()])
        return found

    def log(self) -> str:
        return self._log.head().name

    def checkpoints(self, key: str) -> list[bytes]:
        return get_checkpoints(self._client, key)

    def save_checkpoint(self, key: str, log: str, sequence: int, data: bytes) -> bool:
        return save_checkpoint(self._client, self._log, key, log, sequence, data)

    def claim(self, name: str, holder: str, seconds: float) -> bool:
        return claim(self._client, name, holder, seconds)

    def draw(self, gateway: str, uses: Sequence[Use]) -> Levels:
        return draw(self._client, gateway, uses)

    def compaction(self) -> Compaction:
        return DynamoCompaction(self._client, self._log)

    def archive(self) -> Archive:
        return DynamoArchive(self._client, self._log, self._expires)

    def outbox(self) -> Outbox:
        return DynamoOutbox(self._client, self._log, self._expires)

    def close(self) -> None:
        self._client.close()

    def _expires(self, since: float) -> int:
        """When what was made at a time is past the retention, in Unix seconds."""
        return int(since + self._retention)

    def _subjects(self, decision_ids: Iterable[str]) -> dict[str, _Subject]:
        keys = [Key(decision_id, kind) for decision_id in dict.fromkeys(decision_ids) for kind in _KINDS]
        now, found = time.time(), {}
        for item in self._client.get_many(keys):
            if alive(item, now):
                found[item["pk"]["S"], item["sk"]["S"]] = item
        subjects = {}
        for decision_id in {name for name, kind in found if kind == "decision"}:
            outcome, kept = (found.get((decision_id, kind)) for kind in ("outcome", "feedback"))
            read = None if kept is None else feedback_of(kept)
            decision = decision_of(found[decision_id, "decision"])
            subjects[decision_id] = _Subject(decision, None if outcome is None else outcome_of(outcome), read, read)
        return subjects


def _kind(record: Decision | Outcome) -> str:
    return "decision" if isinstance(record, Decision) else "outcome"


def _apply(change: _Change, subject: _Subject | None, feedback: Feedback) -> FeedbackResult | UnknownDecision:
    if subject is None:
        return UnknownDecision(feedback.decision_id)
    first = subject.kept
    if first is not None and not _gives_way(first, feedback):
        return FeedbackResult(
            decision=subject.decision,
            outcome=subject.outcome,
            arm=first.arm,
            quality=first.quality,
            cost=first.cost,
            duplicate=True,
        )
    feedback = in_place_of(feedback, first.feedback if first is not None else None)
    result = credit(subject.decision, subject.outcome, feedback)
    if first is None:
        change.counts[result.arm] += 1
    pending = pending_kind(subject.decision, subject.outcome, feedback)
    subject.kept = KeptFeedback(feedback, result.arm, result.quality, result.cost, pending)
    change.subjects[feedback.decision_id] = subject
    event = None if pending else learning_event(result, feedback)
    if event is not None:
        change.events.append(event)
    return result


def _gives_way(kept: KeptFeedback, feedback: Feedback) -> bool:
    """Whether a kept feedback is replaced by another one: it is pending, and the other says more."""
    return kept.pending == "implicit" and precedence(feedback.implicit) > precedence(kept.feedback.implicit)


def _teach(change: _Change, subject: _Subject | None, waiting: Key) -> None:
    """Let a pending feedback teach, unless its decision is past its retention."""
    kind = waiting.partition.partition("#")[2]
    if subject is None or subject.kept is None or subject.kept.pending != kind:
        change.stale.append(waiting)
        return
    feedback = subject.kept.feedback
    result = credit(subject.decision, subject.outcome, feedback)
    subject.kept = KeptFeedback(feedback, result.arm, result.quality, result.cost)
    change.subjects[feedback.decision_id] = subject
    event = learning_event(result, feedback)
    if event is not None:
        change.events.append(event)
