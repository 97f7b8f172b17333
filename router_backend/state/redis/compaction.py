"""The `Compaction` of a key prefix. How long ago a reader was heard of is told by the server's clock."""

from __future__ import annotations

from typing import cast

from router_backend.state.compaction import BATCH, KEY_SECONDS, READER_SECONDS, Reader
from router_backend.state.redis import scripts
from router_backend.state.redis.client import RedisClient
from router_backend.state.redis.outbox import ARCHIVED
from router_backend.state.store import CHECKPOINT_DAYS

READERS, POSITIONS, COMPACTED = "readers", "positions", "compacted"


class RedisCompaction:
    """Of one log at a time: readers of a former one are passed over."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def follow(self, reader: Reader) -> int:
        keys = [self._client.key(READERS), self._client.key(COMPACTED), self._client.key("checkpoint", reader.key)]
        said = f"{reader.log} {reader.sequence} {reader.key}"
        return int(self._client.run(scripts.FOLLOW, keys, [reader.name, said, int(86_400 * CHECKPOINT_DAYS)]))

    def readers(self) -> list[Reader]:
        with self._client.errors():
            seconds, _ = self._client.raw.time()
            said = cast("dict[bytes, bytes]", self._client.raw.hgetall(self._client.key(READERS)))
        found = []
        for name, value in sorted(said.items()):
            seen, log, sequence, key = value.decode().split(" ")
            if seconds - int(seen) <= READER_SECONDS:
                found.append(Reader(name.decode(), log, int(sequence), key))
        return found

    def mark(self) -> int:
        with self._client.errors():
            return int(cast("bytes | None", self._client.raw.hget(self._client.key(COMPACTED), "mark")) or 0)

    def compact(self, log: str) -> int:
        names = ("log", "events", ARCHIVED, READERS, POSITIONS, COMPACTED)
        keys, total = [self._client.key(name) for name in names], 0
        while True:
            removed = int(self._client.run(scripts.COMPACT, keys, [log, READER_SECONDS, KEY_SECONDS, BATCH]))
            total += removed
            if removed < BATCH:
                return total
