"""Objects in a folder, which several gateways may share. Files are their owner's alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from router_backend.gateway.batches.storage.objects import PIECE, Missing, ObjectsError

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 4
_BESIDE = ".new-"
"""Begins the names of files that aren't whole yet."""


class Disk:
    """Blocking calls are made on threads of its own."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="batch-files")

    async def put(self, path: str, data: bytes, *, new: bool = False) -> bool:
        return await self._do(_put, path, data, new)

    async def get(self, path: str) -> bytes | None:
        with contextlib.suppress(Missing):
            return await self._do(Path.read_bytes, path)
        return None

    async def names(self, folder: str) -> list[str]:
        return await self._do(_names, folder)

    async def delete(self, path: str) -> None:
        await self._do(_delete, path)

    async def delete_folder(self, folder: str) -> None:
        await self._do(_delete_folder, folder)

    async def sweep(self, folder: str, seconds: float) -> None:
        await self._do(_sweep, folder, time.time() - seconds)

    @contextlib.asynccontextmanager
    async def writer(self, path: str) -> AsyncIterator[DiskWriter]:
        file, beside = await self._do(_begin, path)
        writer = DiskWriter(self, path, file, beside)
        try:
            yield writer
        finally:
            file.close()
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)

    async def read(self, path: str) -> AsyncIterator[bytes]:
        file = await self._do(_open, path)
        try:
            while piece := await self._do(lambda _: file.read(PIECE), path):
                yield piece
        finally:
            file.close()

    async def _do(self, work: Callable[Concatenate[Path, P], T], path: str, *args: P.args, **kwargs: P.kwargs) -> T:
        def run() -> T:
            try:
                return work(self._root / path, *args, **kwargs)
            except FileNotFoundError:
                raise Missing(f"{path} is not there") from None
            except OSError as error:
                raise ObjectsError(
                    f"{self._root}: {error.strerror or error}; check that batches.place is there, writable and not full"
                ) from error

        return await asyncio.get_running_loop().run_in_executor(self._pool, run)


class DiskWriter:
    """Writes beside the path until it is whole."""

    def __init__(self, disk: Disk, path: str, file: FileIO, beside: Path) -> None:
        self._disk, self._path, self._file, self._beside = disk, path, file, beside
        self._buffer = bytearray()
        self.size = 0

    async def write(self, data: bytes | bytearray) -> None:
        self._buffer += data
        self.size += len(data)
        if len(self._buffer) >= PIECE:
            await self._flush()

    async def commit(self) -> None:
        await self._flush()
        await self._disk._do(_finish, self._path, self._file, self._beside)

    async def _flush(self) -> None:
        data, self._buffer = self._buffer, bytearray()
        await self._disk._do(lambda _: _write_all(self._file, data), self._path)


def _begin(path: Path) -> tuple[FileIO, Path]:
    _make_folder(path.parent)
    beside = path.parent / f"{_BESIDE}{secrets.token_hex(8)}"
    return FileIO(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"), beside


def _finish(path: Path, file: FileIO, beside: Path) -> None:
    os.fsync(file.fileno())
    os.replace(beside, path)
    _sync(path.parent)


def _open(path: Path) -> FileIO:
    return FileIO(path)


def _put(path: Path, data: bytes, new: bool) -> bool:
    file, beside = _begin(path)
    try:
        with file:
            _write_all(file, data)
            os.fsync(file.fileno())
        if not new:
            os.replace(beside, path)
        else:
            try:
                os.link(beside, path)
            except FileExistsError:
                return False
        _sync(path.parent)
        return True
    finally:
        beside.unlink(missing_ok=True)


def _write_all(file: FileIO, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _names(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _delete(path: Path) -> None:
    path.unlink(missing_ok=True)


def _delete_folder(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)


def _sweep(folder: Path, before: float) -> None:
    for file in folder.glob(f"{_BESIDE}*"):
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mtime < before:
                file.unlink()


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Durable names; a folder that this process may not open has durable names all the same, or not."""
    with contextlib.suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
