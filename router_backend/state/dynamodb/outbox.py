"""What an archive hasn't got yet: pages of ids, each written in the transaction that wrote the records, beside the log, which is one itself.

Pages are written where an archiver has been there within a month: it says so in the store's identity, which writers read each second. When
it comes for the first time, it waits until all of them must know, and then notes the ids of all there is. Pages lie by their writers'
clocks. One that is done is removed by its key, so a page that comes late is never taken for done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from router_backend.core.records import Decision, KeptFeedback, LearningEvent, Outcome
from router_backend.state.dynamodb.client import (
    ARCHIVE_SEEN,
    FORGOTTEN_SECONDS,
    IDENTITY,
    Action,
    Cancelled,
    DynamoClient,
)
from router_backend.state.dynamodb.items import (
    Item,
    Key,
    alive,
    decision_of,
    feedback_of,
    number,
    outcome_of,
    text,
)
from router_backend.state.dynamodb.log import HEAD, Log
from router_backend.state.dynamodb.writes import OUTBOX, tell
from router_backend.state.store import NEVER_TAKEN, Parcel

KNOWN_SECONDS = 30.0
"""After which every write that began without knowing of the archiver has ended: longer than a write is tried."""
_KINDS: tuple[str, ...] = ("decision", "outcome", "feedback")
_TOGETHER = 500  # ids of a page that is noted at first
_RENEWED_SECONDS = 3600.0
_SEEDED = "archive_seeded"


class DynamoOutbox:
    """The `Outbox` of a table."""

    def __init__(self, client: DynamoClient, log: Log, expires: Callable[[float], int]) -> None:
        """`expires`: when what was made at a time is past the retention."""
        self._client, self._log, self._expires = client, log, expires

    def take(self, limit: int) -> Parcel:
        head = self._log.head()
        nothing: dict[str, str | int] = {"first": "", "event": head.archived}
        if not self._ready():
            return Parcel([], head.name, nothing, nothing)
        pages: list[str] = []
        ids: list[str] = []
        for page in self._client.query(OUTBOX):
            pages.append(page["sk"]["S"])
            ids += page["ids"]["S"].split(" ")
            if len(ids) >= limit:
                break
        events = self._log.events(head.archived, limit)
        if not pages and not events:
            return Parcel([], head.name, nothing, nothing)
        begins = nothing | {"first": pages[0] if pages else ""}
        ends: dict[str, str | int] = {
            "pages": " ".join(pages),
            "event": events[-1].sequence if events else head.archived,
        }
        return Parcel([*self._records(ids), *events], head.name, begins, ends)

    def done(self, parcel: Parcel) -> bool:
        pages = str(parcel.ends.get("pages", "")).split()
        event: dict[str, Any] = {":name": text(parcel.log), ":begins": number(int(parcel.begins["event"]))}
        here = "archived = :begins"
        if not parcel.begins["event"]:
            here = f"(attribute_not_exists(archived) OR {here})"
        move: Action = {
            "Update": {
                "Key": HEAD.item(),
                "UpdateExpression": "SET archived = :ends",
                "ConditionExpression": f"#log = :name AND {here}",
                "ExpressionAttributeNames": {"#log": "log"},
                "ExpressionAttributeValues": {**event, ":ends": number(int(parcel.ends["event"]))},
            }
        }
        first: list[Action] = [
            {"Delete": {"Key": Key(OUTBOX, page).item(), "ConditionExpression": "attribute_exists(pk)"}}
            for page in pages[:1]
        ]
        for _ in self._client.attempts():
            try:
                self._client.transact([move, *first])
                break
            except Cancelled as cancelled:
                if "ConditionalCheckFailed" in cancelled.reasons:
                    return False
        self._client.delete_all([Key(OUTBOX, page).item() for page in pages[1:]])
        return True

    def behind(self) -> float:
        identity = self._client.get(IDENTITY)
        if identity is None or _SEEDED not in identity:
            return NEVER_TAKEN
        first = next(self._client.query(OUTBOX, limit=1), None)
        if first is None:
            return 0.0
        return max(0.0, time.time() - float(first["sk"]["S"].partition("#")[0]))

    def _ready(self) -> bool:
        """Say that an archiver is there; whether all that was written before it came is noted by now."""
        identity, now = self._client.get(IDENTITY) or {}, time.time()
        seen = float(identity[ARCHIVE_SEEN]["N"]) if ARCHIVE_SEEN in identity else 0.0
        if seen < now - FORGOTTEN_SECONDS:  # writers note nothing
            self._set(f"SET {ARCHIVE_SEEN} = :now, archive_since = :now REMOVE {_SEEDED}", {":now": number(now)})
            self._client.archives = True
            identity = self._client.get(IDENTITY) or {}
        elif seen < now - _RENEWED_SECONDS:
            self._set(f"SET {ARCHIVE_SEEN} = :now", {":now": number(now)})
        if _SEEDED in identity:
            return True
        if float(identity["archive_since"]["N"]) > now - KNOWN_SECONDS:
            return False
        self._seed()
        self._set(f"SET {_SEEDED} = :now", {":now": number(now)})
        return True

    def _seed(self) -> None:
        """Note the ids of everything; what was interrupted is done again."""
        names = {f":{kind}": text(kind) for kind in _KINDS}
        found: list[tuple[str, str]] = []
        for item in self._client.scan(f"sk IN ({', '.join(names)})", names, "pk, sk"):
            found.append((item["sk"]["S"], item["pk"]["S"]))
            if len(found) == _TOGETHER:
                self._note(found)
                found = []
        self._note(found)

    def _note(self, records: Iterable[tuple[str, str]]) -> None:
        in_order = sorted(records, key=lambda record: _KINDS.index(record[0]))
        self._client.put_all([action["Put"]["Item"] for action in tell(in_order, self._expires(time.time()))])

    def _set(self, expression: str, values: Item) -> None:
        update = {"Key": IDENTITY.item(), "UpdateExpression": expression, "ExpressionAttributeValues": values}
        self._client.write_if(update, "update_item")

    def _records(self, ids: list[str]) -> list[Decision | Outcome | KeptFeedback | LearningEvent]:
        keys = [Key(identity, kind) for kind, _, identity in (each.partition(":") for each in dict.fromkeys(ids))]
        now, found = time.time(), {}
        for item in self._client.get_many(keys):
            if alive(item, now):
                found[item["pk"]["S"], item["sk"]["S"]] = item
        records: list[Decision | Outcome | KeptFeedback | LearningEvent] = []
        for key in keys:
            there = found.get((key.partition, key.sort))
            if there is None:  # expired
                continue
            if key.sort == "decision":
                records.append(decision_of(there))
            elif key.sort == "outcome":
                records.append(outcome_of(there))
            elif not (kept := feedback_of(there)).pending:  # else it will be told again when it is final
                records.append(kept)
        return records


def unseed(client: DynamoClient) -> None:
    """What is there now wasn't noted: an archiver begins with all there is."""
    update = {"Key": IDENTITY.item(), "UpdateExpression": f"REMOVE {_SEEDED}"}
    client.write_if(update, "update_item")
