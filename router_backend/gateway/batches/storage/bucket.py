"""Objects in a bucket of S3, Google Cloud Storage or Azure, through object_store (`obstore`)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError

from router_backend.gateway.batches.storage.objects import PIECE, Missing, ObjectsError

_ADVICE = "check batches.place, the credentials and that the bucket is there"


class Bucket:
    """A prefix of a bucket; conditional writes (`If-None-Match`) are its word on who came first."""

    def __init__(self, address: str) -> None:
        """Raises ObjectsError: it is no address of a bucket."""
        self._shown = address.partition("?")[0]
        try:
            self._store: Any = obstore.store.from_url(address)
        except (BaseError, ValueError) as error:
            raise ObjectsError(f"{self._shown}: {_first_line(error)}; {_ADVICE}") from error

    async def put(self, path: str, data: bytes, *, new: bool = False) -> bool:
        with self._failures(path):
            try:
                await obstore.put_async(
                    self._store, path, data, mode="create" if new else "overwrite", use_multipart=False
                )
            except (AlreadyExistsError, PreconditionError):
                if not new:
                    raise
                return False
            return True

    async def get(self, path: str) -> bytes | None:
        with contextlib.suppress(Missing), self._failures(path):
            return bytes(await (await obstore.get_async(self._store, path)).bytes_async())
        return None

    async def names(self, folder: str) -> list[str]:
        with self._failures(folder):
            found = await obstore.list_with_delimiter_async(self._store, f"{folder}/")
        paths = [*found["common_prefixes"], *(each["path"] for each in found["objects"])]
        return sorted(path.rstrip("/").rpartition("/")[2] for path in paths)

    async def delete(self, path: str) -> None:
        with contextlib.suppress(Missing), self._failures(path):
            await obstore.delete_async(self._store, path)

    async def delete_folder(self, folder: str) -> None:
        with self._failures(folder):
            async for group in obstore.list(self._store, f"{folder}/"):
                await obstore.delete_async(self._store, [each["path"] for each in group])

    async def sweep(self, folder: str, seconds: float) -> None:
        """A bucket's own rule for uploads that are not completed does it."""

    @contextlib.asynccontextmanager
    async def writer(self, path: str) -> AsyncIterator[BucketWriter]:
        # An upload that isn't completed leaves no object; a bucket's rule for old uploads removes its parts.
        yield BucketWriter(self, path)

    async def read(self, path: str) -> AsyncIterator[bytes]:
        with self._failures(path):
            answer = await obstore.get_async(self._store, path)
            async for piece in answer.stream(min_chunk_size=PIECE):
                yield bytes(piece)

    @contextlib.contextmanager
    def _failures(self, path: str) -> Any:
        try:
            yield
        except (NotFoundError, FileNotFoundError):
            raise Missing(f"{path} is not there") from None
        except (BaseError, OSError) as error:
            raise ObjectsError(f"{self._shown}: {_first_line(error)}; {_ADVICE}") from error


class BucketWriter:
    """An upload in parts, of which the last is sent at the commit."""

    def __init__(self, bucket: Bucket, path: str) -> None:
        self._bucket, self._path = bucket, path
        self._upload: Any = None
        self.size = 0

    async def write(self, data: bytes | bytearray) -> None:
        with self._bucket._failures(self._path):
            if self._upload is None:
                self._upload = obstore.open_writer_async(self._bucket._store, self._path)
            await self._upload.write(bytes(data))
        self.size += len(data)

    async def commit(self) -> None:
        if self._upload is None:
            await self._bucket.put(self._path, b"")
            return
        with self._bucket._failures(self._path):
            await self._upload.close()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
