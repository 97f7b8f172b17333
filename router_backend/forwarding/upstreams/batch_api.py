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
from router_backend.forwarding.upstreams.openai import retry_after_of
from router_backend.forwarding.upstreams.proxied import new_session
from router_backend.forwarding.upstreams.proxies import proxy_for
from router_backend.forwarding.upstreams.secrets import key_reader

T = TypeVar("T")

ENDED = frozenset(("completed", "failed", "expired", "cancelled"))
PIECE = 256 * 1024
_SILENCE_SECONDS = 120.0
_MOST_BYTES = 4 * 1024 * 1024  # of an answer that is no file
_PAGES, _PAGE = 50, 100
_PASSING = frozenset((408, 409, 425, 429, 500, 502, 503, 504))


class BatchAPIError(RuntimeError):
    """The server couldn't be asked, or refused. `passing`: the same may be well later; `gone`: there is no such thing there."""

    def __init__(self, message: str, *, passing: bool, gone: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.passing, self.gone, self.retry_after = passing, gone, retry_after


class _Problem(msgspec.Struct, frozen=True):
    code: str | None = None


class _Problems(msgspec.Struct, frozen=True):
    data: list[_Problem] = []


class RemoteBatch(msgspec.Struct, frozen=True):
    """A batch object, as far as it matters."""

    id: str
    status: str
    input_file_id: str = ""
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Problems | None = None
    metadata: dict[str, str] | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def causes(self) -> str:
        """Codes of a batch that failed."""
        found = {problem.code for problem in (self.errors.data if self.errors else ()) if problem.code}
        return ", ".join(sorted(found))

    @property
    def files(self) -> tuple[str, ...]:
        """Ids of all its files."""
        return tuple(filter(None, (self.input_file_id, self.output_file_id, self.error_file_id)))


class _Id(msgspec.Struct, frozen=True):
    id: str


class _Page(msgspec.Struct, frozen=True):
    data: list[RemoteBatch]
    has_more: bool = False


class BatchAPI:
    """Of one arm's server. Every method may raise BatchAPIError."""

    def __init__(self, arm: str, upstream: OpenAIUpstream, connect: float) -> None:
        """`connect`: seconds that a connection may take. Raises ValueError: the key is missing."""
        self._arm, self._connect = arm, connect
        self._url, self._proxy = upstream.base_url.rstrip("/"), proxy_for(upstream.base_url)
        self._key, self._headers = key_reader(upstream), upstream.headers

    async def upload(self, name: str, size: int, pieces: Callable[[], AsyncIterator[bytes]]) -> str:
        """A file for a batch, of `size` bytes; returns its id."""
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

    async def create(self, file_id: str, endpoint: str, metadata: Mapping[str, str]) -> RemoteBatch:
        """A batch of a file, for `/v1/…`."""
        fields = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": "24h", "metadata": metadata}
        return await self._ask("POST", "batches", RemoteBatch, dump(fields), {"content-type": "application/json"})

    async def find(self, name: str, value: str) -> RemoteBatch | None:
        """The batch whose metadata say this; the latest are looked at first."""
        after = ""
        for _ in range(_PAGES):
            page = await self._ask("GET", f"batches?limit={_PAGE}{after}", _Page)
            for batch in page.data:
                if (batch.metadata or {}).get(name) == value:
                    return batch
            if not page.has_more or not page.data:
                break
            after = f"&after={page.data[-1].id}"
        return None

    async def retrieve(self, batch_id: str) -> RemoteBatch:
        """As it is now."""
        return await self._ask("GET", f"batches/{batch_id}", RemoteBatch)

    async def cancel(self, batch_id: str) -> None:
        """It need not have ended when this returns."""
        await self._ask("POST", f"batches/{batch_id}/cancel", RemoteBatch, b"")

    async def lines(self, file_id: str) -> AsyncGenerator[bytes, None]:
        """The lines of a file, without their ends."""
        rest = b""
        async with self._response("GET", f"files/{file_id}/content") as response:
            async for piece in response.content.iter_chunked(PIECE):
                *whole, rest = (rest + piece).split(b"\n")
                for line in whole:
                    yield line
        if rest:
            yield rest

    async def remove(self, file_id: str) -> None:
        """A file, for good."""
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


async def _all(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_chunked(PIECE):
        body += piece
        if len(body) > _MOST_BYTES:
            raise BatchAPIError("an answer of more than 4 MiB that is no file", passing=False)
    return bytes(body)
