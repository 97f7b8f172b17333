"""The log of learning events, in pages that are numbered by a transaction on the log's head.

DynamoDB's queries see transactions item by item: a page may be seen before the one in front of it. Sequences have no gaps, so a
reader notices, and stops there until the next look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from router_backend.core.observations import Observations
from router_backend.core.records import LearningEvent
from router_backend.state.columns import observations_of
from router_backend.state.dynamodb.client import Action, DynamoClient
from router_backend.state.dynamodb.items import Key, event_of, number, page_item, parts_of, sequence_digits, text
from router_backend.state.store import StoreReplaced

HEAD = Key("store", "head")


@dataclass(frozen=True, slots=True)
class Head:
    name: str
    first: int  # sequence of the oldest event, or the one that comes next
    tail: int  # sequence of the latest
    archived: int  # of the latest that the archive has
    mark: int  # of the latest that was removed; 0: none
    removed: int  # how many were


class Log:
    def __init__(self, client: DynamoClient) -> None:
        self._client = client

    def head(self) -> Head:
        item = self._client.get(HEAD)
        if item is None:
            raise StoreReplaced(
                f"{self._client.shown}: the head of the log is missing; restore the table from a backup"
            )
        first, tail, *others = (
            int(item[name]["N"]) if name in item else 0 for name in ("first", "tail", "archived", "mark", "removed")
        )
        return Head(item["log"]["S"], first, tail, *others)

    def append(self, events: Sequence[LearningEvent]) -> list[Action]:
        """What adds events to the log's end, if it still ends where it ends now."""
        if not events:
            return []
        head = self.head()
        move: Action = {
            "Update": {
                "Key": HEAD.item(),
                "UpdateExpression": "SET tail = :next",
                "ConditionExpression": "tail = :tail",
                "ExpressionAttributeValues": {
                    ":tail": number(head.tail),
                    ":next": number(head.tail + len(events)),
                },
            }
        }
        return [
            move,
            {"Put": {"Item": page_item(events, head.tail), "ConditionExpression": "attribute_not_exists(pk)"}},
        ]

    def events(self, after: int, limit: int) -> list[LearningEvent]:
        return [event_of(*kept) for kept in self._kept(after, limit)]

    def _kept(self, after: int, limit: int) -> list[tuple[int, bytes, bytes]]:
        """Sequences, bodies and contexts of events."""
        found: list[tuple[int, bytes, bytes]] = []
        for page in self._client.query("log", above=sequence_digits(after), limit=limit):
            events = [kept for kept in parts_of(page) if kept[0] > after]
            expected = found[-1][0] + 1 if found else after + 1
            if events[0][0] != expected and (found or events[0][0] != self.head().first):
                break
            found += events
            if len(found) >= limit:
                break
        return found[:limit]

    def observations(self, after: int, limit: int) -> Observations:
        """As `events`, by column."""
        kept = self._kept(after, limit)
        return observations_of(*([each[column] for each in kept] for column in range(3)))  # type: ignore[arg-type]

    def renew(self, name: str) -> None:
        """Another log begins behind the one that there was."""
        for _ in self._client.attempts():
            head = self.head()
            change: dict[str, Any] = {
                "Key": HEAD.item(),
                "UpdateExpression": "SET #log = :name, #first = :first REMOVE archived, mark, removed",
                "ConditionExpression": "tail = :tail",
                "ExpressionAttributeNames": {"#log": "log", "#first": "first"},
                "ExpressionAttributeValues": {
                    ":name": text(name),
                    ":first": number(head.tail + 1),
                    ":tail": number(head.tail),
                },
            }
            if self._client.write_if(change, "update_item"):
                return

    def is_still(self, name: str) -> Action:
        """A condition of a transaction: the log has this name."""
        return {
            "ConditionCheck": {
                "Key": HEAD.item(),
                "ConditionExpression": "#log = :name",
                "ExpressionAttributeNames": {"#log": "log"},
                "ExpressionAttributeValues": {":name": text(name)},
            }
        }
