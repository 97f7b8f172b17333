"""Removes files whose time is over, and batches that ended long ago."""

from __future__ import annotations

import time
from collections.abc import Callable

from router_backend.config.batches import BatchesConfig
from router_backend.gateway.batches import shelves
from router_backend.gateway.batches.files import Files
from router_backend.gateway.batches.record import Batch
from router_backend.gateway.batches.register import Register
from router_backend.gateway.batches.storage.objects import Objects

_DAY = 86_400.0
UPLOAD_SECONDS = 2 * 3600.0
"""What isn't a file after as long belongs to an upload that broke off."""


class Tidy:
    """Of all keys. What it removes twice, or what another process removes meanwhile, is gone all the same."""

    def __init__(self, objects: Objects, files: Files, register: Register, config: Callable[[], BatchesConfig]) -> None:
        self._objects, self._files, self._register, self._config = objects, files, register, config

    async def run(self) -> None:
        """Raises ObjectsError: the rest waits for the next time."""
        for owner in await self._objects.names(shelves.KEYS):
            used = await self._batches(owner)
            await self._contents(owner, used)

    async def _batches(self, owner: str) -> set[str]:
        """Remove old ones; returns the files that those use which haven't ended."""
        used, kept = set(), self._config().retention_days * _DAY
        for batch_id in await self._register.ids(owner):
            batch = await self._register.find(owner, batch_id)
            if batch is None or not batch.ended:
                used |= {batch.input_file_id, batch.output_file_id, batch.error_file_id} if batch else set()
            elif _end(batch) + max(kept, batch.output_seconds) < time.time():
                await self._objects.delete_folder(shelves.batch(owner, batch_id))
        return used

    async def _contents(self, owner: str, used: set[str]) -> None:
        ids = set(await self._files.ids(owner))
        for file_id in ids - used:
            file = await self._files.find(owner, file_id, over=True)
            if file and file.expires_at < time.time():
                await self._files.remove(owner, file_id)
        for file_id in await self._objects.names(shelves.contents(owner)):
            if file_id not in ids | used and shelves.made_at(file_id) < time.time() - UPLOAD_SECONDS:
                await self._objects.delete(shelves.content(owner, file_id))
        await self._objects.sweep(shelves.contents(owner), UPLOAD_SECONDS)


def _end(batch: Batch) -> float:
    return float(max(batch.at.values(), default=batch.created_at))
