"""A server's own Files and Batch APIs (https://platform.openai.com/docs/api-reference/batch), as a client of them."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

import aiohttp
import msgspec

from router_backend.config.models import OpenAIUpstream
from router_backend.core.jsonio import dump
from router_backend.forwarding.failure import error_object
from router_backend.forwarding.upstreams.batches.api import ENDED, BatchAPIError, LineAnswer, RemoteBatch
from router_backend.forwarding.upstreams.openai import retry_after_of
from router_backend.forwarding.upstreams.proxied import new_session
from router_backend.forwarding.upstreams.proxies import proxy_for
from router_backend.forwarding.upstreams.secrets import key_reader

T = TypeVar("T")

NAME = "llm_router_part"
"""Of the metadata by which a batch is found."""
PIECE = 256 * 1024
_SILENCE_SECONDS = 120.0
_MOST_BYTES = 4 * 1024 * 1024  # of an answer that is no file
_PAGES, _PAGE = 50, 100
_PASSING = frozenset((408, 409, 425, 429, 500, 502, 503, 504))


class _Problem(msgspec.Struct, frozen=True):
    code: str | None = None


class _Problems(msgspec.Struct, frozen=True):
    data: list[_Problem] = []


class _Batch(msgspec.Struct, frozen=True):
    """A batch object, as far as it matters."""

    id: str
    status: str
    input_file_id: str = ""
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Problems | None = None
    metadata: dict[str, str] | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """Ids of all its files."""
        return tuple(filter(None, (self.input_file_id, self.output_file_id, self.error_file_id)))

    def told(self) -> RemoteBatch:
        causes = {problem.code for problem in (self.errors.data if self.errors else ()) if problem.code}
        status: Any = self.status if self.status in ENDED or self.status == "cancelling" else "in_progress"
        return RemoteBatch(self.id, status, ", ".join(sorted(causes)), self.output_file_id or "")


class _Response(msgspec.Struct, frozen=True):
    status_code: int
    body: msgspec.Raw


class _Row(msgspec.Struct, frozen=True):
    custom_id: str
    response: _Response | None = None


_rows = msgspec.json.Decoder(_Row)


class _Id(msgspec.Struct, frozen=True):
    id: str


class _Page(msgspec.Struct, frozen=True):
    data: list[_Batch]
    has_more: bool = False


class OpenAIBatches:
    """See `BatchAPI`."""

    def __init__(self, arm: str, upstream: OpenAIUpstream, connect: float) -> None:
        """`connect`: seconds that a connection may take. Raises ValueError: the key is missing."""
        self._arm, self._connect = arm, connect
        self._url, self._proxy = upstream.base_url.rstrip("/"), proxy_for(upstream.base_url)
        self._key, self._headers = key_reader(upstream), upstream.headers

    async def upload(self, name: str, size: int, pieces: Callable[[], AsyncIterator[bytes]]) -> str:
        """See `BatchAPI.upload`."""
        boundary = secrets.token_hex(16)
        head = (
            f'--{boundary}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--{boundary}\r\n'
            f'content-disposition: form-data; name="file"; filename="{name}"\r\ncontent-type: application/jsonl\r\n\r\n'
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()

        async def form() -> AsyncIterator[bytes]:
            yield head
            async for piece in pieces():
                yield piece
            yield tail

        headers = {
            "content-type": f"multipart/form-data; boundary={boundary}",
            "content-length": str(len(head) + size + len(tail)),
        }
        return (await self._ask("POST", "files", _Id, form(), headers)).id

    async def close(self, file_id: str) -> None:
        """See `BatchAPI.close`. A file that is gone makes no batch."""
        try:
            await self._remove(file_id)
        except BatchAPIError as error:
            if not error.gone:
                raise

    async def create(self, file_id: str, endpoint: str, name: str) -> RemoteBatch:
        """See `BatchAPI.create`."""
        fields = {
            "input_file_id": file_id,
            "endpoint": endpoint,
            "completion_window": "24h",
            "metadata": {NAME: name},
        }
        return (await self._ask("POST", "batches", _Batch, dump(fields), {"content-type": "application/json"})).told()

    async def find(self, name: str) -> RemoteBatch | None:
        """See `BatchAPI.find`; the latest are looked at first."""
        after = ""
        for _ in range(_PAGES):
            page = await self._ask("GET", f"batches?limit={_PAGE}{after}", _Page)
            for batch in page.data:
                if (batch.metadata or {}).get(NAME) == name:
                    return batch.told()
            if not page.has_more or not page.data:
                break
            after = f"&after={page.data[-1].id}"
        return None

    async def retrieve(self, batch_id: str) -> RemoteBatch:
        """See `BatchAPI.retrieve`."""
        return (await self._batch(batch_id)).told()

    async def cancel(self, batch_id: str) -> None:
        """See `BatchAPI.cancel`."""
        await self._ask("POST", f"batches/{batch_id}/cancel", _Batch, b"")

    async def answers(self, place: str) -> AsyncGenerator[LineAnswer, None]:
        """See `BatchAPI.answers`."""
        rest = b""
        async with self._response("GET", f"files/{place}/content") as response:
            async for piece in response.content.iter_chunked(PIECE):
                *whole, rest = (rest + piece).split(b"\n")
                for line in whole:
                    if found := _answer(line):
                        yield found
        if found := _answer(rest):
            yield found

    async def remove(self, batch_id: str) -> None:
        """See `BatchAPI.remove`."""
        for file_id in (await self._batch(batch_id)).files:
            await self._remove(file_id)

    async def _batch(self, batch_id: str) -> _Batch:
        return await self._ask("GET", f"batches/{batch_id}", _Batch)

    async def _remove(self, file_id: str) -> None:
        await self._ask("DELETE", f"files/{file_id}", _Id)

    async def _ask(
        self, method: str, path: str, kind: type[T], data: Any = None, headers: Mapping[str, str] | None = None
    ) -> T:
        async with self._response(method, path, data, headers) as response:
            body = await _all(response)
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise BatchAPIError(
                f"{self._arm} answered {method} /{path} otherwise than a Batch API: {error}", passing=False
            ) from None

    @contextlib.asynccontextmanager
    async def _response(
        self, method: str, path: str, data: Any = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One that says yes. Redirects are not followed: neither prompts nor the key may go to another server."""
        sent = {**self._headers, **(headers or {})}
        if key := self._key():
            sent["authorization"] = f"Bearer {key}"
        timeout = aiohttp.ClientTimeout(total=None, connect=self._connect, sock_read=_SILENCE_SECONDS)
        asked = f"{self._arm}: {method} /{path.partition('?')[0]}"
        try:
            async with (
                new_session(self._connect) as session,
                session.request(
                    method,
                    f"{self._url}/{path}",
                    data=data,
                    headers=sent,
                    proxy=self._proxy,
                    timeout=timeout,
                    allow_redirects=False,
                ) as response,
            ):
                if not 200 <= response.status < 300:
                    raise self._refusal(asked, response, await _all(response))
                yield response
        except (aiohttp.ClientError, OSError) as error:
            raise BatchAPIError(f"{asked}: {type(error).__name__}", passing=True) from error

    @staticmethod
    def _refusal(asked: str, response: aiohttp.ClientResponse, body: bytes) -> BatchAPIError:
        code = error_object(body).get("code") or "no code"
        return BatchAPIError(
            f"{asked}: HTTP {response.status} ({code})",
            passing=response.status in _PASSING,
            gone=response.status in (404, 410),
            retry_after=retry_after_of(response.headers.get("retry-after")),
        )


def _answer(line: bytes) -> LineAnswer | None:
    """None: the line failed, or isn't ours."""
    try:
        row = _rows.decode(line)
        number = int(row.custom_id)
    except (msgspec.MsgspecError, ValueError):
        return None
    if row.response is None or row.response.status_code != 200:
        return None
    return LineAnswer(number, bytes(row.response.body))


async def _all(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_chunked(PIECE):
        body += piece
        if len(body) > _MOST_BYTES:
            raise BatchAPIError("an answer of more than 4 MiB that is no file", passing=False)
    return bytes(body)
