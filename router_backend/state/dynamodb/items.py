"""Records to DynamoDB items and back, and the layout of the table.

    pk                sk                      what
    DECISION ID       decision                body, context, at, expires
    DECISION ID       outcome                 body, at, expires
    DECISION ID       feedback                body, arm, quality, cost, pending, precedence, at, expires
    response#ID       response                key, body, at, expires
    recent#SHARD      SPAN#RANDOM             places of the decisions of a group that were made in a span of time; expires
    pending#KIND      RECEIVED#DECISION ID    feedback that waits before it teaches
    log               LAST SEQUENCE           a page of events: body and context of each, and their number
    tally             SHARD                   decisions (d:ARM) and feedback (f:ARM), to be summed
    spend#PERIOD      KEY#SHARD               usd, expires; to be summed
    checkpoint#KEY    manifest, SEQUENCE#PART what was learned up to an event
    lease#NAME        lease                   holder, ends
    outbox            TIME#SHARD              ids of records that the archive hasn't got
    readers           NAME                    how far a router has read the log
    store             identity, head, probe   which store this is; the log's name, first and last sequence, and what the archive has of it

Shards are there so that routers don't wait for one another at sums that all of them add to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from router_backend.core.records import Decision, Feedback, KeptFeedback, LearningEvent, Outcome, StoredResponse
from router_backend.core.signals import precedence
from router_backend.state.codec import (
    decode,
    encode,
    join,
    split,
)

Item = dict[str, dict[str, Any]]
"""`{attribute: {type: value}}`, as DynamoDB writes it."""

_SEQUENCE_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Key:
    partition: str
    sort: str

    def item(self) -> Item:
        return {"pk": text(self.partition), "sk": text(self.sort)}


def text(value: str) -> dict[str, Any]:
    return {"S": value}


def number(value: float) -> dict[str, Any]:
    return {"N": repr(value)}


def binary(value: bytes) -> dict[str, Any]:
    return {"B": value}


def decision_item(decision: Decision, expires: int) -> Item:
    body, context = split(decision)
    item = Key(decision.decision_id, "decision").item() | {"body": binary(body)}
    return item | {"context": binary(context), "at": number(decision.created), "expires": number(expires)}


def decision_of(item: Item) -> Decision:
    return join(Decision, item["body"]["B"], item["context"]["B"])


def outcome_item(outcome: Outcome, expires: int) -> Item:
    item = Key(outcome.decision_id, "outcome").item() | {"body": binary(encode(outcome))}
    return item | {"at": number(outcome.completed), "expires": number(expires)}


def outcome_of(item: Item) -> Outcome:
    return decode(Outcome, item["body"]["B"])


def feedback_item(kept: KeptFeedback, expires: int) -> Item:
    feedback = kept.feedback
    return Key(feedback.decision_id, "feedback").item() | {
        "body": binary(encode(feedback)),
        "arm": text(kept.arm),
        "quality": number(kept.quality),
        "cost": number(kept.cost),
        "pending": text(kept.pending),
        "precedence": number(precedence(feedback.implicit)),
        "at": number(feedback.received),
        "expires": number(expires),
    }


def feedback_of(item: Item) -> KeptFeedback:
    quality, cost = float(item["quality"]["N"]), float(item["cost"]["N"])
    return KeptFeedback(decode(Feedback, item["body"]["B"]), item["arm"]["S"], quality, cost, item["pending"]["S"])


def response_key(response_id: str) -> Key:
    return Key(f"response#{response_id}", "response")


def response_item(response: StoredResponse, expires: int) -> Item:
    item = response_key(response.response_id).item() | {"key": text(response.key), "body": binary(response.body)}
    return item | {"at": number(response.created), "expires": number(expires)}


def listed_partition(key: str) -> str:
    """Of the list of a key's answers."""
    return f"responses#{key}"


def listed_key(response: StoredResponse) -> Key:
    return Key(listed_partition(response.key), f"{received_digits(response.created)}#{response.response_id}")


def listed_item(response: StoredResponse, expires: int) -> Item:
    """An answer in the list of its key's, by time."""
    item = listed_key(response).item() | {"id": text(response.response_id), "size": number(len(response.body))}
    return item | {"at": number(response.created), "expires": number(expires)}


def response_of(item: Item) -> StoredResponse:
    response_id, created = item["pk"]["S"].partition("#")[2], float(item["at"]["N"])
    return StoredResponse(response_id=response_id, key=item["key"]["S"], created=created, body=item["body"]["B"])


def pending_key(kept: KeptFeedback) -> Key:
    return Key(f"pending#{kept.pending}", f"{received_digits(kept.feedback.received)}#{kept.feedback.decision_id}")


def received_digits(at: float) -> str:
    """A time as text of the same order."""
    return f"{max(0.0, at):020.6f}"


def sequence_digits(sequence: int) -> str:
    return f"{sequence:0{_SEQUENCE_DIGITS}d}"


def page_item(events: Sequence[LearningEvent], after: int) -> Item:
    """Events in the order of the log, the first of them at `after` + 1."""
    parts = [part for event in events for part in split(event)]
    item = Key("log", sequence_digits(after + len(events))).item()
    return item | {"events": {"L": [binary(part) for part in parts]}, "count": number(len(events))}


def parts_of(page: Item) -> list[tuple[int, bytes, bytes]]:
    """Sequence, body and context of each event."""
    parts = [part["B"] for part in page["events"]["L"]]
    first = int(page["sk"]["S"]) - len(parts) // 2 + 1
    return list(zip(range(first, first + len(parts) // 2), parts[::2], parts[1::2], strict=True))


def trimmed(page: Item, last: int) -> Item:
    """A page without its events up to one; the same if there are none of them in it."""
    gone = sum(sequence <= last for sequence, _, _ in parts_of(page))
    if not gone:
        return page
    parts = page["events"]["L"][2 * gone :]
    return {**page, "events": {"L": parts}, "count": number(len(parts) // 2)}


def event_of(sequence: int, body: bytes, context: bytes) -> LearningEvent:
    """From `parts_of`."""
    return replace(join(LearningEvent, body, context), sequence=sequence)


def alive(item: Item, now: float) -> bool:
    """DynamoDB removes what has expired within a few days; until then it is passed over."""
    return "expires" not in item or float(item["expires"]["N"]) > now
