"""What uvicorn knows of a request beyond ASGI: whether its body is there already, when its client leaves, a response in one write.

Each saves what ASGI's messages cost a small request: a task that waits for the end, a timer for a body that has come, two
messages and a check of each header.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

CALL = "llm_router.call"
"""Where a scope has it."""


class Call:
    """Of one request on a connection of ours."""

    __slots__ = ("_cycle", "_on_left")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._on_left: Callable[[], None] | None = None

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self._cycle.disconnected

    def watch(self, on_left: Callable[[], None] | None) -> None:
        """Call this once, should the client leave before it has its answer; None: nothing any more."""
        self._on_left = on_left
        if on_left:
            self._cycle.flow.resume_reading()  # a further request that came with this one has stopped it

    def left(self) -> None:
        """The client has left."""
        on_left, self._on_left = self._on_left, None
        if on_left:
            on_left()

    def body(self, most: int) -> bytes | None:
        """The whole body, if it is there and has no more than `most` bytes; ASGI's `receive` gives it otherwise."""
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected or cycle.waiting_for_100_continue or len(cycle.body) > most:
            return None
        body, cycle.body = bytes(cycle.body), bytearray()
        cycle.message_event.clear()
        cycle.flow.resume_reading()
        return body

    def respond(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
        """Send a whole response, `headers` with its length; False where ASGI's `send` has to do it.

        Raises:
            ValueError: what would be a header makes another line.
        """
        cycle = self._cycle
        scope = cycle.scope
        if (
            cycle.response_started
            or cycle.flow.write_paused
            or not cycle.keep_alive
            or status in (204, 304)
            or status not in STATUS_LINE
            or scope["method"] == "HEAD"
            or scope["http_version"] != "1.1"
        ):
            return False
        if cycle.disconnected:
            return True
        lines = [b"%s: %s" % header for header in (*cycle.default_headers, *headers)]
        head = b"\r\n".join((*lines, b"", b""))
        if head.count(b"\n") != len(lines) + 1 or head.count(b"\r") != len(lines) + 1:
            raise ValueError("a header with an end of line")
        if b"\r\nconnection: " in head:
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.chunked_encoding, cycle.waiting_for_100_continue = False, False
        transport: asyncio.Transport = cycle.transport
        transport.writelines((STATUS_LINE[status] + head, body))
        cycle.message_event.set()
        cycle.on_response()
        return True
