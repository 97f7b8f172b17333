"""One HTTP request and its response, straight on ASGI: no layer between us and the socket can hide a disconnect."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, MutableMapping, Sequence
from typing import Any, NoReturn, TypeVar

from router_backend.core.errors import OpenAIError
from router_backend.core.ids import new_decision_id
from router_backend.core.jsonio import dump
from router_backend.core.large import SMALL, Body
from router_backend.core.tracing import PARENT, STATE, TraceContext, trace_context
from router_backend.gateway.http.bodies import Bodies
from router_backend.gateway.http.call import CALL, Call
from router_backend.gateway.http.errors import ApiError, ClientGone, Header, retry_after
from router_backend.gateway.http.paths import plain_path

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
T = TypeVar("T")

_DISCARDED = 64 * 1024 * 1024  # bytes beyond the limit that are still read
_CLOSE: list[Header] = [(b"connection", b"close")]  # there is a rest of the body that nobody will read
WRITTEN = 2
"""Copies of a body that is sent on: as it came, and as it is written."""
TRANSLATED = 6
"""Of one in another API's words: translated, and for a moment as objects, which take three times its bytes."""
_PARENT = PARENT.encode()
_REQUEST_IDS = (b"x-request-id", b"request-id")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class Exchange:
    """Request and response of one ASGI `http` scope. Used by one task, from `__init__` to the last byte."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, bodies: Bodies) -> None:
        self.scope, self._receive, self._send, self._bodies = scope, receive, send, bodies
        self._held = 0  # bytes of room for its body
        self.started = time.monotonic()
        self.method: str = scope["method"]
        self.path, self.deployment = plain_path(scope["path"])
        self.headers: dict[bytes, bytes] = _joined(scope["headers"])
        request_id = self.headers.get(b"x-request-id", b"")
        self.request_id = request_id.decode() if _REQUEST_ID.fullmatch(request_id) else new_decision_id()
        self.status = 0  # of the response; 499: the client left first
        self.key = ""  # name of the API key
        self.error_shape: Callable[[OpenAIError, str], bytes] = lambda error, request_id: error.json()  # of its API
        self.cors: list[Header] = []  # headers of the response, for a page of an allowed site
        self.rates: list[Header] = []  # headers of the response: what is left of the key's rates
        self.log: dict[str, Any] = {}  # further fields of the access log
        self._complete = False
        self._gone = False
        self._call: Call | None = scope.get(CALL)  # None: another server's, or a test's

    @property
    def begun(self) -> bool:
        """Whether the response's head is out: an error can't be a status any more."""
        return self.status != 0

    @property
    def address(self) -> str:
        """Of the client, or of the last proxy; empty on a Unix socket."""
        return str((self.scope.get("client") or ("",))[0])

    def header(self, name: bytes) -> str | None:
        """A request header's text, None if it was not sent."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1").strip()

    @property
    def trace(self) -> TraceContext:
        """The trace that the client says its request belongs to."""
        if _PARENT not in self.headers:
            return {}
        parents, states = (
            [value.decode("latin-1") for key, value in self.scope["headers"] if key == name.encode()]
            for name in (PARENT, STATE)
        )
        return trace_context(parents, states)

    async def body(
        self, limit: int, seconds: float, setting: str = "gateway.max_body_bytes", copies: int = WRITTEN
    ) -> Body:
        """The whole request body. `setting`: the name of the limit, in the error; `copies`: of its bytes that are there at
        once while it is answered, for which there must be room.

        Raises:
            ApiError: compressed, more than `limit` bytes, or not there after `seconds`.
            ClientGone: the client left while sending.
        """
        self._check_encoding()
        length = self.headers.get(b"content-length", b"")
        if b"expect" in self.headers and length.isdigit() and int(length[:20]) > limit:
            raise _too_large(limit, setting, close=True)  # nothing of it has been sent yet
        if self._call and (whole := self._call.body(min(limit, SMALL))) is not None:
            return whole
        until = time.monotonic() + seconds
        body, more = bytearray(), True
        while more:
            part, more = await self._piece(until, seconds)
            if not (body or more) and len(part) <= min(limit, SMALL):
                return part
            body += part  # joined at the end, a large one would be there twice
            if len(body) > limit:
                await self._refuse(limit, setting, len(body), more, until, seconds)
            if len(body) > SMALL and not self._held:
                await self._take_room(copies * (int(length) if length.isdigit() else limit), until)
        return body

    def _check_encoding(self) -> None:
        if self.headers.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
            raise ApiError(415, "Send the body as it is: no content-encoding is read", code="unsupported_encoding")

    async def pieces(self, limit: int, seconds: float, setting: str) -> AsyncIterator[bytes]:
        """The request body as it comes, for one that is never there as a whole. `seconds`: that each piece may take.

        Raises:
            ApiError: compressed, more than `limit` bytes, or a piece was not there in time.
            ClientGone: the client left while sending.
        """
        self._check_encoding()
        length = self.headers.get(b"content-length", b"")
        if b"expect" in self.headers and length.isdigit() and int(length[:20]) > limit:
            raise _too_large(limit, setting, close=True)  # nothing of it has been sent yet
        size, more = 0, True
        while more:
            until = time.monotonic() + seconds
            part, more = await self._piece(until, seconds)
            size += len(part)
            if size > limit:
                await self._refuse(limit, setting, size, more, until, seconds)
            yield part

    async def _piece(self, until: float, seconds: float) -> tuple[bytes, bool]:
        try:
            async with asyncio.timeout(max(0.001, until - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise _too_slow(seconds) from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message.get("body", b""), message.get("more_body", False)

    async def _take_room(self, size: int, until: float) -> None:
        """Wait for room before the rest is read: meanwhile it stays with the client."""
        try:
            self._held = await self._bodies.take(size, max(0.0, until - time.monotonic()))
        except TimeoutError:
            message = "Too many large requests are being answered (gateway.bodies_bytes); send it again later"
            raise ApiError(
                503, message, type="server_error", code="overloaded", retry_after=1, headers=_CLOSE
            ) from None

    def close(self) -> None:
        """Give back the room of its body."""
        if self._held:
            self._bodies.give_back(self._held)
            self._held = 0

    async def _refuse(self, limit: int, setting: str, size: int, more: bool, until: float, seconds: float) -> NoReturn:
        """Read on and throw away, within reason: a client that is still sending would not see the answer."""
        while more and size < limit + _DISCARDED:
            part, more = await self._piece(until, seconds)
            size += len(part)
        raise _too_large(limit, setting, close=more)

    async def while_connected(self, work: Coroutine[Any, Any, T]) -> T:
        """Result of `work`, which is cancelled as soon as the client leaves (call it when the body has been read).

        Raises:
            ClientGone: the client left before the response was complete.
        """
        task = asyncio.current_task()
        assert task is not None
        watcher = None
        if self._call:
            if self._call.gone:
                work.close()
                raise ClientGone
            self._call.watch(lambda: self._leave(task))
        else:
            watcher = asyncio.create_task(self._watch(task))
        try:
            return await work
        except asyncio.CancelledError:
            if not self._gone:
                raise
            task.uncancel()
            raise ClientGone from None
        finally:
            if self._call:
                self._call.watch(None)
            elif watcher:
                watcher.cancel()

    async def _watch(self, task: asyncio.Task[Any]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave(task)

    def _leave(self, task: asyncio.Task[Any]) -> None:
        if not self._complete:
            self._gone = True
            task.cancel()

    async def start(self, status: int, headers: Sequence[Header]) -> None:
        """Send the response's head; the request's id is added to it, under OpenAI's name and under Anthropic's."""
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": self._head(headers)})

    def _head(self, headers: Sequence[Header]) -> list[Header]:
        request_id = self.request_id.encode()
        return [*headers, *self.rates, *self.cors, *[(name, request_id) for name in _REQUEST_IDS]]

    async def chunk(self, data: bytes, more: bool = True) -> None:
        """Send a piece of the body; waits while the client reads more slowly than we write."""
        if not more:
            self._complete = True
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def respond(
        self, status: int, data: bytes, headers: Sequence[Header] = (), content_type: bytes = b"application/json"
    ) -> None:
        """Send a whole response."""
        headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(data)), *headers]
        if self._call and self._call.respond(status, self._head(headers), data):
            self.status, self._complete = status, True
            return
        await self.start(status, headers)
        await self.chunk(data, more=False)

    async def json(self, value: Any, status: int = 200, headers: Sequence[Header] = ()) -> None:
        await self.respond(status, dump(value), headers)

    async def fail(self, error: OpenAIError, headers: Sequence[Header] = ()) -> None:
        """Send an error in place of a response."""
        body = self.error_shape(error, self.request_id)
        await self.respond(error.status, body, [*headers, *retry_after(error)])


Handler = Callable[[Exchange], Awaitable[None]]
"""Answers the requests of one endpoint."""


def _joined(headers: Iterable[Header]) -> dict[bytes, bytes]:
    """Of a header in several lines all are one list, as HTTP has it (RFC 9110, 5.2)."""
    joined: dict[bytes, bytes] = {}
    for name, value in headers:
        joined[name] = joined[name] + b", " + value if name in joined else value
    return joined


def _too_large(limit: int, setting: str, close: bool) -> ApiError:
    message = f"The request body is larger than {limit} bytes ({setting})"
    return ApiError(413, message, code="request_too_large", headers=_CLOSE if close else [])


def _too_slow(seconds: float) -> ApiError:
    message = f"The request body was not complete after {seconds:g} s (gateway.body_seconds)"
    return ApiError(408, message, code="request_timeout", headers=_CLOSE)
