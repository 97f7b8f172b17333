"""The `Compaction` of a table. How long ago a reader was heard of is told by the routers' clocks: there is no clock of the service."""

from __future__ import annotations

import time
from typing import Any

from router_backend.state.compaction import KEY_SECONDS, READER_SECONDS, Reader
from router_backend.state.dynamodb.checkpoints import held, renew
from router_backend.state.dynamodb.client import Cancelled, DynamoClient
from router_backend.state.dynamodb.items import Item, Key, number, text, trimmed
from router_backend.state.dynamodb.log import HEAD, Head, Log

_READERS = "readers"
_AHEAD_SECONDS = 10.0  # by which a clock may be


class DynamoCompaction:
    """Of one log at a time: readers of a former one are passed over."""

    def __init__(self, client: DynamoClient, log: Log) -> None:
        self._client, self._log = client, log

    def follow(self, reader: Reader) -> int:
        now = time.time()
        said = {
            "log": text(reader.log),
            "sequence": number(reader.sequence),
            "key": text(reader.key),
            "seen": number(now),
            "expires": number(int(now + 2 * KEY_SECONDS)),
        }
        self._client.write_if({"Item": {**Key(_READERS, reader.name).item(), **said}}, "put_item")
        if reader.key:
            renew(self._client, reader.key)
        return self._log.head().mark

    def readers(self) -> list[Reader]:
        return [_reader(item) for item in self._heard(READER_SECONDS)]

    def mark(self) -> int:
        return self._log.head().mark

    def compact(self, log: str) -> int:
        head = self._log.head()
        last = min(self._limit(head), head.tail)
        if head.name != log or last < head.first:
            return 0
        removed = last - head.first + 1
        for _ in self._client.attempts():
            try:
                if not self._client.write_if(_moved(head, last, removed), "update_item"):
                    return 0
                break
            except Cancelled:  # somebody adds to the log
                continue
        self._remove(last)
        return removed

    def _remove(self, last: int) -> None:
        """The pages up to an event, and what is left of those that it was interrupted at; readers know by the head that they go."""
        gone: list[Item] = []
        for page in self._client.query("log", limit=100):
            if int(page["sk"]["S"]) <= last:
                gone.append(page)
                if len(gone) == 100:
                    self._client.delete_all(gone)
                    gone = []
                continue
            if (rest := trimmed(page, last)) is not page:
                self._client.write_if({"Item": rest, "ConditionExpression": "attribute_exists(pk)"}, "put_item")
            break
        self._client.delete_all(gone)

    def _limit(self, head: Head) -> int:
        """The last event that nobody needs."""
        now_there = [reader for reader in map(_reader, self._heard(READER_SECONDS)) if reader.log == head.name]
        if not now_there:
            return 0
        keys = {
            reader.key for reader in map(_reader, self._heard(KEY_SECONDS)) if reader.log == head.name and reader.key
        }
        return min(
            [head.archived, *(reader.sequence for reader in now_there), *(held(self._client, key) for key in keys)]
        )

    def _heard(self, seconds: float) -> list[Item]:
        now = time.time()
        return [
            item
            for item in self._client.query(_READERS)
            if now - seconds <= float(item["seen"]["N"]) <= now + _AHEAD_SECONDS
        ]


def _reader(item: Item) -> Reader:
    return Reader(item["sk"]["S"], item["log"]["S"], int(item["sequence"]["N"]), item["key"]["S"])


def _moved(head: Head, last: int, removed: int) -> dict[str, Any]:
    return {
        "Key": HEAD.item(),
        "UpdateExpression": "SET #first = :next, mark = :last ADD removed :count",
        "ConditionExpression": "#log = :name AND #first = :first",
        "ExpressionAttributeNames": {"#log": "log", "#first": "first"},
        "ExpressionAttributeValues": {
            ":name": text(head.name),
            ":first": number(head.first),
            ":next": number(last + 1),
            ":last": number(last),
            ":count": number(removed),
        },
    }
