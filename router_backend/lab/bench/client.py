"""One keep-alive HTTP connection that sends prepared bytes and notes when the answer began and ended.

wrk and hey know neither an open loop nor the time of a stream's first chunk, and k6 takes several times the processor
time of what it measures, on the same two cores. This parser reads only what the servers in question send: a status
line, a length or chunks.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"


class BadAnswer(RuntimeError):
    """An answer that isn't 200, or a connection that broke."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Seconds after the request was sent, and what came. `frames` counts `data:` lines with content."""

    first: float  # first byte of the body
    total: float
    frames: int
    degraded: bool = False  # ours: the default model answered, since routing was too late


class Connection(asyncio.Protocol):
    """Sends one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._lost = False

    @classmethod
    async def open(cls, port: int) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        self._fail(f"the connection was closed ({error})")

    @property
    def usable(self) -> bool:
        return not self._lost and self._transport is not None and not self._transport.is_closing()

    async def send(self, request: bytes) -> Answer:
        """The times of the answer to `request`.

        Raises:
            BadAnswer: it wasn't a 200, or didn't end.
        """
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._parts: list[bytes] = []
        self._left: int | None = None  # bytes of a body with a length; -1: chunked
        self._close = self._degraded = False
        self._first = 0.0
        self._sent = time.perf_counter()
        self._transport.write(request)
        return await self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._left is None:
            self._parts.append(data)
            data = b"".join(self._parts)
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return
            head, data = data[: end + 2], data[end + 4 :]
            self._parts.clear()
            if not head.startswith(b"HTTP/1.1 200"):
                return self._fail(f"{head[:400].decode('latin-1')}\n{data[:400].decode('utf-8', 'replace')}")
            found = _LENGTH.search(head)
            self._close = bool(_CLOSE.search(head))
            self._degraded = b"x-router-reason: fallback" in head
            if found:
                self._left = int(found[1])
            elif _CHUNKED.search(head):
                self._left = -1
            else:
                return self._fail("an answer without a length")
            if not data:
                return None
        if not self._first:
            self._first = time.perf_counter()
        self._parts.append(data)
        if self._left >= 0:
            self._left -= len(data)
            if self._left == 0:
                self._done()
        elif data.endswith(_LAST_CHUNK) or (len(data) < len(_LAST_CHUNK) and self._tail().endswith(_LAST_CHUNK)):
            self._done()
        return None

    def _tail(self) -> bytes:
        return b"".join(self._parts[-6:])

    def _done(self) -> None:
        now = time.perf_counter()
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            frames = b"".join(self._parts).count(b'"content":') if self._left == -1 else 1
            waiting.set_result(Answer(self._first - self._sent, now - self._sent, frames, self._degraded))
        if self._close:
            self.close()

    def _fail(self, message: str) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(BadAnswer(message))
        self.close()
