"""`/v1/files`: files of batches, by the key that they belong to."""

from __future__ import annotations

from router_backend.gateway.batches.desk import Desk
from router_backend.gateway.batches.files import File
from router_backend.gateway.batches.upload import AROUND, upload
from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.routes.pages import limit_of, ordered, page, query_of

_AT_ONCE = 10_000  # files of a page, as OpenAI's


class FileHandlers:
    """One handler for each thing that can be done with files."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def create(self, exchange: Exchange, owner: str) -> None:
        """A file, streamed to its place."""
        config, desk = self._desk.config, self._desk
        pieces = exchange.pieces(
            config.batches.max_file_bytes + AROUND, config.gateway.body_seconds, "batches.max_file_bytes"
        )
        content_type = exchange.header(b"content-type") or ""
        file = await upload(pieces, content_type, owner, desk.objects, desk.files, config.batches)
        await exchange.json(file.public())

    async def list(self, exchange: Exchange, owner: str) -> None:
        """A page of files, the latest first unless asked otherwise."""
        query, found = query_of(exchange), []
        limit, purpose = limit_of(query, _AT_ONCE, _AT_ONCE), query.get("purpose")
        for file_id in ordered(query, await self._desk.files.ids(owner)):
            file = await self._desk.files.find(owner, file_id)
            if file and purpose in (None, file.purpose):
                found.append(file.public())
            if len(found) > limit:
                break
        await exchange.json(page(found[:limit], len(found) > limit))

    async def show(self, exchange: Exchange, owner: str) -> None:
        """A file's own data."""
        await exchange.json((await self._find(exchange, owner)).public())

    async def content(self, exchange: Exchange, owner: str) -> None:
        """What is in it."""
        file = await self._find(exchange, owner)
        length = str(file.bytes).encode()
        pieces = self._desk.files.content(owner, file.id)
        first = await anext(pieces, b"")  # a file that is gone is an error, and not half an answer
        await exchange.start(200, [(b"content-type", b"application/octet-stream"), (b"content-length", length)])
        await exchange.chunk(first)
        async for piece in pieces:
            await exchange.chunk(piece)
        await exchange.chunk(b"", more=False)

    async def remove(self, exchange: Exchange, owner: str) -> None:
        """For good."""
        file = await self._find(exchange, owner)
        if batch_id := await self._desk.user_of(owner, file.id):
            message = f"The file is the input of {batch_id}, which hasn't ended; cancel that first"
            raise ApiError(400, message, code="file_in_use", param="file_id")
        await self._desk.files.remove(owner, file.id)
        await exchange.json({"id": file.id, "object": "file", "deleted": True})

    async def _find(self, exchange: Exchange, owner: str) -> File:
        file_id = exchange.path.split("/")[3]
        file = await self._desk.files.find(owner, file_id)
        if file is None:
            raise ApiError(404, f"No such File object: {file_id[:100]}", code="file_not_found", param="id")
        return file
