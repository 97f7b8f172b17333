"""One keep-alive HTTP/1.1 connection that carries one request at a time.

Written on asyncio's protocol and httptools, because a decision takes little more time than an HTTP library does:
`llm-router bench hop` compares them.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple, cast

import httptools

MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024
_JSON_LENGTH = b"inference-header-content-length"


class Answer(NamedTuple):
    """A whole response."""

    status: int
    body: bytes
    json_length: int  # bytes at the body's beginning that are JSON; the rest are tensors


class Broken(ConnectionError):
    """The connection ended before the answer did, or what came is no answer. `silent`: nothing of one had come."""

    def __init__(self, message: str, *, silent: bool = False) -> None:
        super().__init__(message)
        self.silent = silent


class Connection(asyncio.Protocol):
    """Sends a request and waits for its answer; unusable after anything that leaves the two out of step."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._json_length: int | None = None
        self._parts: list[bytes] = []
        self._head = self._size = 0  # bytes of the answer so far
        self._silent = True
        self._retired = False
        self.answered = 0  # requests so far

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return not self._retired and self._waiting is None and self._open

    @property
    def _open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: bytes) -> Answer:
        """The answer to a request. Cancelled, it closes the connection: by that Triton knows that nobody waits.

        Raises:
            Broken: there is none.
        """
        if self._transport is None or not self._open:
            raise Broken("the connection is closed", silent=True)
        self._begin()
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting = waiting
        self._transport.write(request)
        try:
            return await waiting
        except asyncio.CancelledError:
            self.close()
            raise

    def retire(self) -> None:
        """Close it once what it carries is answered."""
        self._retired = True
        if self._waiting is None:
            self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        if self._waiting is None:  # nobody has asked
            self.close()
            return
        self._silent = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"what came is no answer ({error})")

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"the connection was closed ({error or 'by Triton'})")

    # What httptools calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head += len(name) + len(value)
        if self._head > MAX_HEAD_BYTES:
            raise ValueError("a head that is too long")
        if name.lower() == _JSON_LENGTH:
            if not value.isdigit():
                raise ValueError("a length that is no number")
            self._json_length = int(value[:20])

    def on_body(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_BODY_BYTES:
            raise ValueError("a body that is too long")
        self._parts.append(data)

    def on_message_complete(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done():  # a second answer, or one that nobody waits for any more
            self.close()
            return
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        length = len(body) if self._json_length is None else self._json_length
        self.answered += 1
        if not self._parser.should_keep_alive():
            self.close()
        waiting.set_result(Answer(self._parser.get_status_code(), body, length))

    def _begin(self) -> None:
        self._parts = []
        self._head = self._size = 0
        self._json_length = None
        self._silent = True

    def _fail(self, message: str) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(Broken(message, silent=self._silent))
        self.close()
