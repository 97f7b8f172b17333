"""`/v1/batches`: by the key that made them."""

from __future__ import annotations

from typing import Any

import msgspec

from router_backend.gateway.batches.desk import Desk
from router_backend.gateway.batches.files import INPUT
from router_backend.gateway.batches.record import WINDOW, Batch
from router_backend.gateway.batches.upload import expires_after
from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.routes.pages import limit_of, ordered, page, query_of
from router_backend.gateway.schemas import parse

_AT_ONCE, _MOST_AT_ONCE = 20, 100  # batches of a page, as OpenAI's
_PAIRS, _LONGEST_NAME, _LONGEST_VALUE = 16, 64, 512  # of metadata, as OpenAI's


class ExpiresAfter(msgspec.Struct):
    anchor: str
    seconds: int


class CreateBatch(msgspec.Struct):
    """POST /v1/batches (https://platform.openai.com/docs/api-reference/batch/create)."""

    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None = None
    output_expires_after: ExpiresAfter | None = None


class BatchHandlers:
    """One handler for each thing that can be done with batches."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def create(self, exchange: Exchange, owner: str) -> None:
        """A batch of a file, which is checked later."""
        desk, limits = self._desk, self._desk.config.gateway
        asked = parse(await exchange.body(limits.max_body_bytes, limits.body_seconds), CreateBatch)
        self._check(asked)
        file = await desk.files.find(owner, asked["input_file_id"])
        if file is None or file.purpose != INPUT:
            raise _wrong(f"No such file of the purpose '{INPUT}': {asked['input_file_id'][:100]}", "input_file_id")
        kept = int(desk.config.batches.retention_days * 86_400)
        if after := asked.get("output_expires_after"):
            kept = expires_after(after["anchor"], after["seconds"], "output_expires_after")
        batch = await desk.begin(exchange.key, asked["endpoint"], file.id, kept, asked.get("metadata"))
        await exchange.json(batch.public())

    async def list(self, exchange: Exchange, owner: str) -> None:
        """A page of batches, the latest first."""
        query, found = query_of(exchange), []
        limit = limit_of(query, _AT_ONCE, _MOST_AT_ONCE)
        for batch_id in ordered({**query, "order": "desc"}, await self._desk.register.ids(owner)):
            if batch := await self._desk.register.find(owner, batch_id):
                found.append(await self._public(batch))
            if len(found) > limit:
                break
        await exchange.json(page(found[:limit], len(found) > limit))

    async def show(self, exchange: Exchange, owner: str) -> None:
        """A batch, and how far it has come."""
        await exchange.json(await self._public(await self._find(exchange, owner)))

    async def cancel(self, exchange: Exchange, owner: str) -> None:
        """Lines that run are ended, what is answered is kept."""
        batch = await self._find(exchange, owner)
        if batch.ended:
            raise ApiError(400, f"A batch that is {batch.status} can't be cancelled", code="batch_ended")
        await exchange.json(await self._public(await self._desk.cancel(batch)))

    def _check(self, asked: dict[str, Any]) -> None:
        """Raises ApiError (400)."""
        if asked["completion_window"] != WINDOW:
            raise _wrong(f"completion_window must be '{WINDOW}'", "completion_window")
        if asked["endpoint"] not in self._desk.endpoints:
            raise _wrong(f"endpoint must be one of {', '.join(self._desk.endpoints)}", "endpoint")
        metadata = asked.get("metadata") or {}
        long = any(len(name) > _LONGEST_NAME or len(value) > _LONGEST_VALUE for name, value in metadata.items())
        if long or len(metadata) > _PAIRS:
            message = f"metadata has at most {_PAIRS} pairs, of {_LONGEST_NAME} and {_LONGEST_VALUE} characters"
            raise _wrong(message, "metadata")

    async def _public(self, batch: Batch) -> dict[str, Any]:
        return batch.public(await self._desk.register.progress(batch))

    async def _find(self, exchange: Exchange, owner: str) -> Batch:
        batch_id = exchange.path.split("/")[3]
        batch = await self._desk.register.find(owner, batch_id)
        if batch is None:
            raise ApiError(404, f"No batch found with id '{batch_id[:100]}'", code="batch_not_found", param="id")
        return batch


def _wrong(message: str, param: str) -> ApiError:
    return ApiError(400, message, code="invalid_value", param=param)
