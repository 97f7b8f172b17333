"""The shared store of several replicas, in Redis or Valkey.

The log is a stream whose entry ids are numbered by the script that adds them. A feedback, its event and its count are
written by one script, which Redis runs, and writes to its append-only file, as one step.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

from router_backend.state import redis_scripts as scripts
from router_backend.state.codec import (
    decode,
    encode,
    join_decision,
    pack_context,
    split_decision,
    unpack_context,
    without_context,
)
from router_backend.state.credit import check_feedback, credit, learning_event, pending_kind
from router_backend.state.group import GroupCommit
from router_backend.state.records import Decision, Feedback, FeedbackResult, LearningEvent, Outcome
from router_backend.state.redis_client import connect, needs_waitaof, parse_address, store_errors
from router_backend.state.store import StoreError, StoreMisconfigured, UnknownDecision

_log = logging.getLogger(__name__)

SCHEMA = 1
_BATCH = 500  # entries of a script, so that it holds the server for a few milliseconds at most
_SCAN = 1000


class RedisStore:
    """A `Store` in Redis. Thread-safe. Decisions, outcomes and feedback expire by themselves after the retention."""

    def __init__(self, url: str, retention_days: float = 90.0, timeout: float = 1.0) -> None:
        """Connect, and check that the server keeps what it acknowledges. `timeout`: seconds for each reply.

        A server that doesn't answer now is tried, and checked, again with each call: a router starts without it.

        Raises:
            StoreMisconfigured: it answers, and must not be used as it is.
        """
        address = parse_address(url)
        self._shown, self._prefix = address.shown, address.prefix
        self._retention = retention_days * 86_400
        self._timeout = timeout
        self._client = connect(address, timeout)
        self._waitaof: bool | None = None  # unknown until checked
        try:
            self._check()
        except StoreMisconfigured:
            raise
        except StoreError as error:
            _log.warning("starting without the state store: %s", error)
        self._feedback: GroupCommit[Feedback, FeedbackResult | UnknownDecision] = GroupCommit(
            self._commit_feedback, limit=_BATCH
        )

    def append(self, decisions: Sequence[Decision], outcomes: Sequence[Outcome]) -> None:
        keys = [self._key("decisions")]
        arguments: list[Any] = [len(decisions)]
        for decision in decisions:
            keys.append(self._key("decision", decision.decision_id))
            arguments += [b"\n".join(split_decision(decision)), self._seconds_left(decision.created), decision.model]
        for outcome in outcomes:
            keys.append(self._key("outcome", outcome.decision_id))
            arguments += [encode(outcome), self._seconds_left(outcome.completed)]
        self._write(scripts.APPEND, keys, arguments)

    def add_feedback(self, feedback: Feedback) -> FeedbackResult:
        result = self.add_feedback_many([feedback])[0]
        if isinstance(result, UnknownDecision):
            raise result
        return result

    def add_feedback_many(self, feedbacks: Sequence[Feedback]) -> list[FeedbackResult | UnknownDecision]:
        for feedback in feedbacks:
            check_feedback(feedback)
        results: list[FeedbackResult | UnknownDecision] = []
        for start in range(0, len(feedbacks), _BATCH):
            results += self._feedback.submit(feedbacks[start : start + _BATCH])
        return results

    def _commit_feedback(self, feedbacks: Sequence[Feedback]) -> list[FeedbackResult | UnknownDecision]:
        results: list[FeedbackResult | UnknownDecision] = []
        keys = [*self._log_keys(), self._key("pending", "implicit"), self._key("pending", "unanswered")]
        written = []
        arguments: list[Any] = []
        for index, (feedback, known) in enumerate(zip(feedbacks, self._known(feedbacks), strict=True)):
            if known is None:
                results.append(UnknownDecision(feedback.decision_id))
                continue
            result = credit(*known, feedback)
            pending = pending_kind(*known, feedback)
            keys.append(self._key("feedback", feedback.decision_id))
            arguments += [feedback.decision_id, feedback.received, self._seconds_left(feedback.received)]
            arguments += ["1" if feedback.implicit else "0", pending, result.arm, result.quality, result.cost]
            arguments += [encode(feedback), *_split_event(None if pending else learning_event(result, feedback))]
            results.append(result)
            written.append(index)
        if written:
            for index, kept in zip(written, self._write(scripts.FEEDBACK, keys, arguments), strict=True):
                if kept:
                    arm, quality, cost = kept
                    first = cast(FeedbackResult, results[index])
                    results[index] = replace(
                        first, arm=arm.decode(), quality=float(quality), cost=float(cost), duplicate=True
                    )
        return results

    def settle(self, implicit_before: float, unanswered_before: float) -> int:
        return self._settle("implicit", implicit_before) + self._settle("unanswered", unanswered_before)

    def _settle(self, kind: str, before: float) -> int:
        pending_key, settled = self._key("pending", kind), 0
        while True:
            with self._errors():
                members = self._client.zrangebyscore(pending_key, "-inf", f"({before}", start=0, num=_BATCH)
                ids = [member.decode() for member in cast("list[bytes]", members)]
                if not ids:
                    return settled
                bodies = self._pipelined(("HGET", self._key("feedback", decision_id), "body") for decision_id in ids)
            feedbacks = [decode(Feedback, body) if body else None for body in bodies]
            known = iter(self._known([feedback for feedback in feedbacks if feedback is not None]))
            keys = [*self._log_keys(), pending_key]
            arguments: list[Any] = []
            for decision_id, feedback in zip(ids, feedbacks, strict=True):
                found = next(known) if feedback is not None else None
                keys.append(self._key("feedback", decision_id))
                if feedback is None or found is None:
                    arguments += [decision_id, "", "", "", ""]
                    continue
                result = credit(*found, feedback)
                arguments += [decision_id, result.arm, result.cost]
                arguments += _split_event(learning_event(result, feedback))
            settled += int(self._write(scripts.SETTLE, keys, arguments))

    def decision(self, decision_id: str) -> Decision | None:
        with self._errors():
            return _decision(self._client.get(self._key("decision", decision_id)))

    def outcome(self, decision_id: str) -> Outcome | None:
        with self._errors():
            return _outcome(self._client.get(self._key("outcome", decision_id)))

    def events(self, after: int, limit: int = 1000) -> list[LearningEvent]:
        with self._errors():
            entries = cast("Any", self._client.xrange(self._key("events"), min=f"{after + 1}-0", count=limit))
        return [
            replace(
                decode(LearningEvent, fields[b"e"]),
                sequence=int(entry.partition(b"-")[0]),
                context=unpack_context(fields[b"c"]),
            )
            for entry, fields in entries
        ]

    def counts(self) -> dict[str, dict[str, int]]:
        with self._errors():
            decided, judged = self._pipelined(("HGETALL", self._key(kind)) for kind in ("decisions", "feedbacks"))
        return {
            arm.decode(): {"decisions": int(decided.get(arm, 0)), "feedback": int(judged.get(arm, 0))}
            for arm in sorted({*decided, *judged})
        }

    def prune(self, before: float) -> int:
        """Redis removes what is past its retention by itself; this removes what is younger, too."""
        if before <= time.time() - self._retention:
            return 0
        removed = 0
        for kind, time_of in _TIMES.items():
            with self._errors():
                for keys in self._scan(kind):
                    command = ("HGET", "body") if kind == "feedback" else ("GET",)
                    values = self._pipelined((command[0], key, *command[1:]) for key in keys)
                    old = [key for key, value in zip(keys, values, strict=True) if value and time_of(value) < before]
                    if old:
                        self._client.delete(*old)
                    removed += len(old) if kind == "decision" else 0
        return removed

    def close(self) -> None:
        self._client.close()

    def _key(self, *parts: str) -> str:
        return ":".join((self._prefix, *parts))

    def _log_keys(self) -> list[str]:
        return [self._key(name) for name in ("events", "sequence", "feedbacks")]

    def _seconds_left(self, since: float) -> int:
        return max(1, int(since + self._retention - time.time()))

    def _scan(self, kind: str) -> Any:
        """Pages of keys of a kind."""
        pattern = self._key(kind, "*").replace("[", "\\[")
        cursor = 0
        while True:
            cursor, keys = cast("tuple[int, list[bytes]]", self._client.scan(cursor, match=pattern, count=_SCAN))
            if keys:
                yield keys
            if cursor == 0:
                return

    def _pipelined(self, commands: Any) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        return pipeline.execute()

    def _known(self, feedbacks: Sequence[Feedback]) -> list[tuple[Decision, Outcome | None] | None]:
        """Decision and outcome of each feedback; None where there is no decision."""
        if not feedbacks:
            return []
        keys = [self._key(kind, feedback.decision_id) for feedback in feedbacks for kind in ("decision", "outcome")]
        with self._errors():
            values = cast("list[bytes | None]", self._client.mget(keys))
        found = []
        for decision, outcome in zip(map(_decision, values[::2]), values[1::2], strict=True):
            found.append(None if decision is None else (decision, _outcome(outcome)))
        return found

    def _write(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a script; durable when this returns."""
        waitaof = self._check()
        with self._errors():
            if not waitaof:
                return self._client.eval(script, len(keys), *keys, *arguments)
            wait = int(self._timeout * 800)  # milliseconds, so that the answer comes before the socket's time limit
            result, synced = self._pipelined((("EVAL", script, len(keys), *keys, *arguments), ("WAITAOF", 1, 0, wait)))
        if synced[0] < 1:
            raise StoreError(f"{self._shown}: Redis didn't sync its append-only file in time; send the feedback again")
        return result

    def _check(self) -> bool:
        """Whether writes must wait for WAITAOF. The server is examined once, and again after it didn't answer."""
        if self._waitaof is None:
            with self._errors():
                waitaof = needs_waitaof(self._client, self._shown)
                self._check_schema()
            self._waitaof = waitaof
        return self._waitaof

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with store_errors(self._shown):
                yield
        except StoreError:
            self._waitaof = None  # what answers next may be another server
            raise

    def _check_schema(self) -> None:
        self._client.setnx(self._key("schema"), SCHEMA)
        found = int(cast(bytes, self._client.get(self._key("schema"))))
        if found > SCHEMA:
            raise StoreMisconfigured(
                f"{self._shown}: written by a newer llm-router (state schema {found}, this build knows {SCHEMA});"
                " upgrade this one, or use another ?prefix="
            )


def _decision(value: Any) -> Decision | None:
    if value is None:
        return None
    body, _, context = value.partition(b"\n")  # JSON holds no raw line break
    return join_decision(body, context)


def _outcome(value: Any) -> Outcome | None:
    return None if value is None else decode(Outcome, value)


# When a kept value began to age, by the kind of its key.
_TIMES: dict[str, Callable[[bytes], float]] = {
    "decision": lambda value: decode(Decision, value.partition(b"\n")[0]).created,
    "outcome": lambda value: decode(Outcome, value).completed,
    "feedback": lambda value: decode(Feedback, value).received,
}


def _split_event(event: LearningEvent | None) -> tuple[bytes, bytes]:
    """(JSON without the context, the context's bytes); both empty for none."""
    if event is None:
        return b"", b""
    return encode(without_context(event)), pack_context(event.context)
