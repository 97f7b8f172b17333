"""What an archive hasn't got yet: a stream of ids, beside the log, which is one itself.

The stream is there where an archive is: it is made when one looks for the first time, and goes if none has looked for a month. Made, it
begins with an entry that says that the ids of all that the store has are still to be added.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

from router_backend.core.records import Decision, Feedback, KeptFeedback, LearningEvent, Outcome
from router_backend.state.codec import decode
from router_backend.state.redis import scripts
from router_backend.state.redis.client import RedisClient
from router_backend.state.redis.values import decision_of, event_of, outcome_of
from router_backend.state.store import NEVER_TAKEN, Parcel

OUTBOX, ARCHIVED = "outbox", "archived"
_KINDS = {"decision": b"d", "outcome": b"o", "feedback": b"f"}
_SEED = b"seed"
_SLICE = 500  # entries or records that are read at once
_EXPIRES_SECONDS = 30 * 86_400
_FEEDBACK_FIELDS = ("body", "arm", "quality", "cost", "pending")


class RedisOutbox:
    """The `Outbox` of a key prefix. What expires before it was taken is passed over."""

    def __init__(self, client: RedisClient, log: Callable[[], str]) -> None:
        self._client, self._log = client, log
        self._stream, self._archived = client.key(OUTBOX), client.key(ARCHIVED)

    def take(self, limit: int) -> Parcel:
        log = self._log()
        with self._client.errors():
            if not self._client.raw.exists(self._stream):
                self._client.raw.xadd(self._stream, {_SEED: b""}, id="0-1")  # before all others
            self._client.raw.expire(self._stream, _EXPIRES_SECONDS)
            entries = self._entries(limit)
            if entries and _SEED in entries[0][1]:
                self._seed(entries[0][0])
                entries = self._entries(limit)
            archived = int(cast("bytes | None", self._client.raw.get(self._archived)) or 0)
        events = self._events(archived, limit)
        begins: dict[str, str | int] = {"first": entries[0][0].decode() if entries else "", "event": archived}
        ends: dict[str, str | int] = {
            "last": entries[-1][0].decode() if entries else "",
            "event": events[-1].sequence if events else archived,
        }
        if not entries and not events:
            ends = begins
        return Parcel([*self._records(entries), *events], log, begins, ends)

    def done(self, parcel: Parcel) -> bool:
        after = ""
        if last := str(parcel.ends.get("last", "")):
            milliseconds, _, number = last.partition("-")
            after = f"{milliseconds}-{int(number) + 1}"
        keys = [self._client.key("log"), self._stream, self._archived]
        arguments = [parcel.log, parcel.begins["event"], parcel.begins["first"], after, parcel.ends["event"]]
        return bool(self._client.run(scripts.DONE, keys, arguments))

    def behind(self) -> float:
        with self._client.errors():
            if not self._client.raw.exists(self._stream):
                return NEVER_TAKEN
            entries = self._entries(2)
        times = [int(number.partition(b"-")[0]) / 1000 for number, fields in entries if _SEED not in fields]
        return max(0.0, time.time() - min(times, default=time.time()))

    def _entries(self, limit: int) -> list[tuple[bytes, dict[bytes, bytes]]]:
        return self._slices(self._stream, "-", limit)

    def _events(self, archived: int, limit: int) -> list[LearningEvent]:
        return [event_of(entry) for entry in self._slices(self._client.key("events"), f"{archived + 1}-0", limit)]

    def _slices(self, stream: str, first: str, limit: int) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """Entries of a stream, read in parts that hold the server for less than a millisecond: writers get in between."""
        found: list[tuple[bytes, dict[bytes, bytes]]] = []
        while len(found) < limit:
            count = min(_SLICE, limit - len(found))
            (page,) = self._client.exchange([("XRANGE", stream, first, "+", "COUNT", count)])
            found += [(name, dict(zip(fields[::2], fields[1::2], strict=True))) for name, fields in page]
            if len(page) < count:
                break
            first = f"({page[-1][0].decode()}"
        return found

    def _seed(self, marker: bytes) -> None:
        """Add the ids of everything; the marker goes at the end, so that what was interrupted is done again."""
        for kind, letter in _KINDS.items():
            prefix = len(self._client.key(kind, ""))
            for keys in self._client.scan(kind):
                self._client.pipelined(("XADD", self._stream, "*", letter, key[prefix:]) for key in keys)
        self._client.raw.xdel(self._stream, marker)

    def _records(
        self, entries: list[tuple[bytes, dict[bytes, bytes]]]
    ) -> list[Decision | Outcome | KeptFeedback | LearningEvent]:
        ids = {letter: [entry[letter] for _, entry in entries if letter in entry] for letter in _KINDS.values()}

        def keys(kind: str) -> list[str]:
            return [self._client.key(kind, identity.decode()) for identity in ids[_KINDS[kind]]]

        commands = [
            *(("GET", key) for kind in ("decision", "outcome") for key in keys(kind)),
            *(("HMGET", key, *_FEEDBACK_FIELDS) for key in keys("feedback")),
        ]
        values = []
        for start in range(0, len(commands), _SLICE):
            values += self._client.exchange(commands[start : start + _SLICE])
        decided, answered = len(ids[b"d"]), len(ids[b"d"]) + len(ids[b"o"])
        found = [
            *map(decision_of, values[:decided]),
            *map(outcome_of, values[decided:answered]),
            *map(_final, values[answered:]),
        ]
        return [record for record in found if record is not None]


def _final(fields: list[bytes | None]) -> KeptFeedback | None:
    body, arm, quality, cost, pending = fields
    if body is None or arm is None or quality is None or cost is None or pending:
        return None  # expired, or it will be told again when it is final
    return KeptFeedback(decode(Feedback, body), arm.decode(), float(quality), float(cost))
