"""One keep-alive HTTP/1.1 connection that carries one request at a time.

Written on asyncio's protocol and httptools, because an HTTP library costs several times as much:
docs/decisions/0012-our-own-http-client.md.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools

_HIGH, _LOW = 256 * 1024, 64 * 1024
"""Bytes of a body that wait to be read: above, nothing more is taken from the network; below, reading goes on."""


class Broken(ConnectionError):
    """The connection ended before the answer did, or what came is no answer. `silent`: nothing of one had come."""

    def __init__(self, message: str, *, silent: bool = False) -> None:
        super().__init__(message)
        self.silent = silent


class Response:
    """An answer whose head is there. One reader. What came before the connection broke is read before the error."""

    __slots__ = (
        "_failure",
        "_left",
        "_loop",
        "_parts",
        "_size",
        "_then",
        "_waiting",
        "connection",
        "headers",
        "status",
        "whole",
    )

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self.connection, self._loop = connection, loop
        self.status = 0
        self.headers: dict[bytes, bytes] = {}  # by names in small letters; of several with one name all, as a list
        self.whole = False  # all of its body has come
        self._parts: deque[bytes] = deque()
        self._size = 0  # bytes of these
        self._failure: Broken | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._then: Callable[[], None] | None = None
        self._left = 0

    def header(self, name: bytes) -> str | None:
        """A header's text, None if there is none."""
        value = self.headers.get(name)
        return None if value is None else value.decode("utf-8", "replace").strip()

    @property
    def read_up(self) -> bool:
        """Whether nothing more will come, and nothing waits."""
        return self.whole and not self._parts

    async def read(self, most: int) -> bytes:
        """Up to `most` bytes of the body, as soon as there are any; none at the end.

        Raises:
            Broken: the connection ended before the body did.
        """
        while not self._parts:
            if self.whole:
                return b""
            await self.more()
        parts = self._parts
        part = parts.popleft()
        size = len(part)
        if size > most:
            parts.appendleft(part[most:])
            part, size = part[:most], most
        elif parts and size + len(parts[0]) <= most:
            some = [part]
            while parts and size + len(parts[0]) <= most:
                some.append(parts.popleft())
                size += len(some[-1])
            part = b"".join(some)
        self._size -= size
        if self._size < _LOW and self.connection.paused:
            self.connection.resume()
        return part

    async def body(self, most: int) -> bytes:
        """All of the body.

        Raises:
            Broken: the connection ended before, or there are more than `most` bytes.
        """
        if not self.whole:
            waited, size = [], 0
            while part := await self.read(_HIGH):
                waited.append(part)
                size += len(part)
                if size > most:
                    raise Broken("a body that is too long")
            return b"".join(waited)
        if self._size > most:
            raise Broken("a body that is too long")
        parts, self._size = self._parts, 0
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        return body

    async def more(self) -> None:
        """Wait until something has come.

        Raises:
            Broken: the connection ended instead.
        """
        if self._failure:
            raise self._failure
        self._waiting = self._loop.create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None
        if self._failure and not self._parts:
            raise self._failure

    def leave(self, most: int, then: Callable[[], None]) -> None:
        """Nobody reads the rest, which may have `most` bytes; `then` hears when it has come, or the connection has ended."""
        self._parts.clear()
        self._size, self._left, self._then = 0, most, then
        self.connection.resume()
        self.wake()

    # What its connection calls.

    def add(self, data: bytes) -> int:
        """A piece of the body; returns how many bytes wait now."""
        if self._then is None:
            self._parts.append(data)
            self._size += len(data)
            return self._size
        self._left -= len(data)
        if self._left < 0:
            self.connection.close()
        return 0

    def wake(self) -> None:
        """Something has changed."""
        if self._waiting is not None:
            if not self._waiting.done():
                self._waiting.set_result(None)
        elif self._then is not None and (self.whole or self._failure):
            then, self._then = self._then, None
            then()

    def fail(self, failure: Broken) -> None:
        """The rest will not come."""
        self._failure = failure
        self.wake()


class Connection(asyncio.Protocol):
    """Sends a request and reads its answer; unusable after anything that leaves the two out of step."""

    def __init__(self, max_head_bytes: int, *, lenient: bool = False) -> None:
        """`max_head_bytes`: of an answer's head, and of what may follow a chunked body.

        `lenient`: as clients' libraries are with servers that don't write HTTP to the letter.
        """
        self._parser = httptools.HttpResponseParser(self)
        if lenient:
            self._parser.set_dangerous_leniencies(
                lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
            )
        self._max_head = max_head_bytes
        self._transport: asyncio.Transport | None = None
        self._response: Response | None = None  # that is awaited or comes in
        self._bare = 0  # bytes since the last ones of a body
        self._silent = True
        self._until_closed = False  # the answer ends with the connection (RFC 9112, section 6.3)
        self.paused = False  # nothing is taken from the network, until what has come is read
        self._retired = False
        self.answered = 0  # requests so far
        self.idle_since = 0.0  # by the loop's clock; its pool's

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        transport = self._transport
        return self._response is None and not self._retired and transport is not None and not transport.is_closing()

    async def send(self, head: bytes, body: bytes = b"") -> Response:
        """The answer to a request, once its head is there. Cancelled, it closes the connection.

        Raises:
            Broken: there is none.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            raise Broken("the connection is closed", silent=True)
        response = self._response = Response(self, self._loop)
        self._bare, self._silent = 0, True
        if self.paused:  # nobody has read the last answer to its end
            self.resume()
        if body:
            transport.writelines((head, body))
        else:
            transport.write(head)
        try:
            while not response.status:
                await response.more()
        except BaseException:
            self.close()
            raise
        return response

    @property
    def rests(self) -> bool:
        """Whether all that was sent has left, and its answer has come."""
        transport = self._transport
        return self.usable and transport is not None and not transport.get_write_buffer_size()

    def retire(self) -> None:
        """Close it once what it carries is answered."""
        self._retired = True
        if self._response is None:
            self.close()

    def resume(self) -> None:
        """Take more from the network again."""
        if self.paused and self._transport is not None:
            self.paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def close(self) -> None:
        """At once: who still reads its answer hears that it broke."""
        self._end("the connection was closed by us")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None:  # nobody has asked
            self.close()
            return
        self._silent = False
        self._bare += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end("the server speaks another protocol")
            return
        except httptools.HttpParserError as error:
            self._end(f"what came is no answer ({error})")
            response.wake()  # it may be whole: only what came after it was none
            return
        if self._bare > self._max_head and not response.whole:  # of lines without an end the parser says nothing
            self._end("the answer's head is too long")
        response.wake()

    def connection_lost(self, error: Exception | None) -> None:
        response = self._response
        if response is not None and response.status and error is None and self._until_closed:
            self._response = None
            response.whole = True
            response.wake()
        self._end(f"the connection was closed ({error or 'by the server'})")

    # What httptools calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        response = self._response
        if response is None:
            raise ValueError("an answer that nobody asked for")
        if not response.status:  # else it comes after a chunked body, and says nothing to us
            name = name.lower()
            headers = response.headers
            headers[name] = headers[name] + b", " + value if name in headers else value

    def on_headers_complete(self) -> None:
        response = self._response
        if response is None:
            raise ValueError("an answer that nobody asked for")
        status, headers = self._parser.get_status_code(), response.headers
        if self._bare > self._max_head and sum(map(len, (*headers, *headers.values()))) > self._max_head:
            raise ValueError("a head that is too long")
        if status < 200:  # another head follows
            response.headers = {}
            return
        self._bare = 0
        self._until_closed = (
            b"content-length" not in headers and b"chunked" not in headers.get(b"transfer-encoding", b"").lower()
        )
        response.status = status

    def on_body(self, data: bytes) -> None:
        self._bare = 0
        response = self._response
        if response is not None and response.add(data) > _HIGH and not self.paused and self._transport is not None:
            self.paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        response = self._response
        if response is None or not response.status:  # 1xx: the answer is still to come
            return
        self._response = None
        self.answered += 1
        response.whole = True
        if not self._parser.should_keep_alive():
            self._retired = True
            if self._transport is not None:
                self._transport.abort()

    def _end(self, message: str) -> None:
        """Close it. The answer that comes in, if there is one, has failed."""
        response, self._response = self._response, None
        if response is not None:
            response.fail(Broken(message, silent=self._silent))
        if self._transport is not None:
            self._transport.abort()
