"""What batches need of a folder or a bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

import msgspec

T = TypeVar("T")
PIECE = 256 * 1024
"""Bytes of a large object that are read or written at once."""


class ObjectsError(RuntimeError):
    """The place can't be read or written now; says where and what to do."""


class Missing(ObjectsError):
    """There is no such object."""


class Writer(Protocol):
    """A large object that is being written; it isn't there before `commit`."""

    @property
    def size(self) -> int:
        """Bytes that were written so far."""
        ...

    async def write(self, data: bytes | bytearray) -> None:
        """Add to it; raises ObjectsError."""
        ...

    async def commit(self) -> None:
        """It is whole and durable when this returns, in place of an earlier one; raises ObjectsError."""
        ...


class Objects(Protocol):
    """Objects by path, `/` between the parts; every method may raise ObjectsError."""

    async def put(self, path: str, data: bytes, *, new: bool = False) -> bool:
        """Write a small object, whole and durably. `new`: only where there is none; False: there was one."""
        ...

    async def get(self, path: str) -> bytes | None:
        """All of an object; None: there is none."""
        ...

    async def names(self, folder: str) -> list[str]:
        """What lies directly in a folder, in order; nothing if there is no such folder."""
        ...

    async def delete(self, path: str) -> None:
        """An object that is there or not."""
        ...

    async def delete_folder(self, folder: str) -> None:
        """All that is below it."""
        ...

    async def sweep(self, folder: str, seconds: float) -> None:
        """Remove what processes have left in a folder that were killed while they wrote there, so long ago."""
        ...

    def writer(self, path: str) -> AbstractAsyncContextManager[Writer]:
        """Writes a large object; without a `commit` nothing of it stays."""
        ...

    def read(self, path: str) -> AsyncIterator[bytes]:
        """A large object in pieces; raises Missing."""
        ...


async def decoded(objects: Objects, path: str, decoder: msgspec.json.Decoder[T]) -> T | None:
    """What a small object says; None: there is none. Raises ObjectsError."""
    data = await objects.get(path)
    return decoder.decode(data) if data else None
