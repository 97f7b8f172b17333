"""Batches of keys. A batch's states are objects with numbers in their names, each written only where there is none yet: of several
processes that would change a state one does, and the others read what it has become.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from router_backend.gateway.batches import shelves
from router_backend.gateway.batches.record import NEXT, Batch, Counts, Status
from router_backend.gateway.batches.storage.objects import Objects, decoded

BATCH = "batch_"
_STATE = "state-"
_PROGRESS = "progress.json"
_batches = msgspec.json.Decoder(Batch)
_counts = msgspec.json.Decoder(Counts)


class Register:
    """Reads and changes them, by owner."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def add(self, batch: Batch) -> None:
        """A new one, which a runner will find."""
        owner = shelves.owner_of(batch.key)
        await self._objects.put(shelves.waiting(batch.id), owner.encode())
        await self._objects.put(self._state(owner, batch), msgspec.json.encode(batch), new=True)

    async def find(self, owner: str, batch_id: str) -> Batch | None:
        """Its state; None: there is no such batch of this owner."""
        if not shelves.is_id(batch_id, BATCH):
            return None
        folder = shelves.batch(owner, batch_id)
        states = [name for name in await self._objects.names(folder) if name.startswith(_STATE)]
        if not states:
            return None
        return await decoded(self._objects, f"{folder}/{states[-1]}", _batches)

    async def after(self, batch: Batch) -> Batch | None:
        """Its state now, if it is a later one."""
        owner = shelves.owner_of(batch.key)
        following = msgspec.structs.replace(batch, version=batch.version + 1)
        return await self.find(owner, batch.id) if await self._objects.get(self._state(owner, following)) else None

    async def change(self, batch: Batch, status: Status, **fields: Any) -> Batch:
        """A batch's next state, or the one that another process has given it meanwhile."""
        assert status in NEXT[batch.status], f"{batch.status} is not followed by {status}"
        owner = shelves.owner_of(batch.key)
        at = {**batch.at, status: int(time.time())}
        changed = msgspec.structs.replace(batch, status=status, at=at, version=batch.version + 1, **fields)
        if await self._objects.put(self._state(owner, changed), msgspec.json.encode(changed), new=True):
            return changed
        return await self.find(owner, batch.id) or batch

    async def ids(self, owner: str) -> list[str]:
        """Of all batches, the oldest first."""
        return await self._objects.names(shelves.batches(owner))

    async def report(self, batch: Batch, counts: Counts) -> None:
        """Say how far it has come."""
        folder = shelves.batch(shelves.owner_of(batch.key), batch.id)
        await self._objects.put(f"{folder}/{_PROGRESS}", msgspec.json.encode(counts))

    async def progress(self, batch: Batch) -> Counts | None:
        """How far it had come when somebody said it last."""
        folder = shelves.batch(shelves.owner_of(batch.key), batch.id)
        if batch.ended:
            return None
        return await decoded(self._objects, f"{folder}/{_PROGRESS}", _counts)

    async def waiting(self) -> list[str]:
        """Ids of batches that haven't ended, the oldest first."""
        return await self._objects.names(shelves.WAITING)

    async def owner(self, batch_id: str) -> str | None:
        """Of a batch that hasn't ended; None: it has."""
        data = await self._objects.get(shelves.waiting(batch_id))
        return data.decode() if data else None

    async def over(self, batch_id: str) -> None:
        """No runner need look for it any more."""
        await self._objects.delete(shelves.waiting(batch_id))

    @staticmethod
    def _state(owner: str, batch: Batch) -> str:
        return f"{shelves.batch(owner, batch.id)}/{_STATE}{batch.version:06}"
