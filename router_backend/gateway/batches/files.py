"""Files of keys: what clients upload, and what batches answer. What is over is not shown, and `tidy` removes it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from router_backend.gateway.batches import shelves
from router_backend.gateway.batches.storage.objects import Objects, decoded

INPUT, OUTPUT = "batch", "batch_output"
"""Purposes."""
FILE = "file-"


class File(msgspec.Struct, frozen=True):
    """What is known of one; it is there as soon as this is."""

    id: str
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str

    def public(self) -> dict[str, Any]:
        """OpenAI's file object."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.bytes,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


_decoder = msgspec.json.Decoder(File)


class Files:
    """Reads and writes them, by owner."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def add(self, owner: str, file: File) -> None:
        """Show a file, whose content is there."""
        await self._objects.put(shelves.file(owner, file.id), msgspec.json.encode(file))

    async def find(self, owner: str, file_id: str, *, over: bool = False) -> File | None:
        """None: there is none, or its time is over; `over`: then, too."""
        if not shelves.is_id(file_id, FILE):
            return None
        file = await decoded(self._objects, shelves.file(owner, file_id), _decoder)
        return file if file and (over or file.expires_at > time.time()) else None

    async def ids(self, owner: str) -> list[str]:
        """Of all files, the oldest first."""
        return [name.removesuffix(".json") for name in await self._objects.names(shelves.files(owner))]

    async def remove(self, owner: str, file_id: str) -> None:
        """For good; its entry first, so that nobody finds one without content."""
        await self._objects.delete(shelves.file(owner, file_id))
        await self._objects.delete(shelves.content(owner, file_id))

    def content(self, owner: str, file_id: str) -> AsyncIterator[bytes]:
        """In pieces; raises Missing."""
        return self._objects.read(shelves.content(owner, file_id))
