"""uvicorn's HTTP/1.1 protocol with what it lacks: limits of every kind, and errors in OpenAI's shape."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from router_backend.core.errors import OpenAIError
from router_backend.core.ids import new_decision_id
from router_backend.gateway.http.call import CALL, Call
from router_backend.gateway.http.connections import Connections
from router_backend.gateway.http.joined import Joined

_UPGRADING = (b"upgrade", b"http2-settings")  # headers, and what `connection` says of them
_MAX_CHUNKS = 16 * 1024
"""Of a body. A chunk costs the loop about a microsecond, however short it is."""
_STEP = 64 * 1024  # bytes that a client has to take within `write_seconds`


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """Of one connection."""

    max_header_bytes: int
    header_seconds: float  # from its first byte, or from the connection, to the head's end
    write_seconds: float  # that a client may take nothing of its answer


def limited_protocol(limits: HeadLimits, connections: Connections) -> type[HttpToolsProtocol]:
    """A protocol class that keeps `limits` and counts itself among `connections`."""

    class LimitedProtocol(HttpToolsProtocol):
        _size = 0
        _chunks = 0
        _in_body = False  # of the request that is being read
        _refusal: OpenAIError | None = None  # of what came last; nothing is read any more
        _timer: asyncio.TimerHandle | None = None
        _stall: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._unanswered: deque[RequestResponseCycle] = deque()  # requests, the oldest is being answered
            if not connections.opened(self):
                self._refuse(_busy())
                return
            self._timer = self.loop.call_later(limits.header_seconds, transport.close)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.closed(self)
            self._stop_timer()
            self._stop_stall()
            super().connection_lost(exc)
            # uvicorn tells only the newest request. Those before it would be answered on, into a closed transport.
            for cycle in self._unanswered:
                _leave(cycle)
            self._unanswered.clear()
            self.pipeline.clear()

        @property
        def unread(self) -> int:
            return self.transport.get_write_buffer_size()

        def cut(self) -> None:
            self.transport.abort()

        def on_message_begin(self) -> None:
            self._size = self._chunks = 0
            if self._timer is None:
                self._timer = self.loop.call_later(limits.header_seconds, self.transport.close)
            super().on_message_begin()

        def on_url(self, url: bytes) -> None:
            super().on_url(url)
            self._count(len(url))

        def on_header(self, name: bytes, value: bytes) -> None:
            super().on_header(name, value)
            self._count(len(name) + len(value))

        def on_headers_complete(self) -> None:
            if self.parser.should_upgrade():
                return  # `data_received` hears of it, and the head comes again without
            self._stop_timer()
            connections.works(self)
            super().on_headers_complete()
            self.cycle.transport = Joined(self.cycle, self.transport, self.loop)  # type: ignore[assignment]
            self.scope[CALL] = Call(self.cycle)  # type: ignore[literal-required]
            self._in_body = True
            self._unanswered.append(self.cycle)
            if self.scope["http_version"] == "1.0":
                _unchunked(self.cycle)

        def on_chunk_header(self) -> None:
            self._chunks += 1
            if self._chunks > _MAX_CHUNKS:
                raise _TooManyChunks

        def on_message_complete(self) -> None:
            if not self.parser.should_upgrade():
                self._in_body = False
                super().on_message_complete()

        def on_response_complete(self) -> None:
            if self._unanswered:
                cast("Joined", self._unanswered.popleft().transport).flush()
            super().on_response_complete()
            if self._refusal and not self._unanswered:
                self._send_refusal(self._refusal)
            if self.cycle.response_complete:
                connections.rests(self)

        def data_received(self, data: bytes) -> None:
            if self._refusal:
                return
            self._unset_keepalive_if_required()
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                method = self.parser.get_method()
                if method == b"CONNECT":
                    self.send_400_response("CONNECT is not served here")
                    return
                # No other protocol is spoken here. The parser takes what follows for another protocol's all the same:
                # a new one reads the request as if it had not asked.
                head = self._head_without_upgrade(method)
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.data_received(head + data[upgrade.args[0] :])
            except httptools.HttpParserError:
                self.send_400_response("Invalid HTTP request received.")

        def _head_without_upgrade(self, method: bytes) -> bytes:
            lines = [b"%s %s HTTP/1.1" % (method, self.url)]
            for name, value in self.headers:
                if name == b"connection":
                    options = [option.strip() for option in value.split(b",")]
                    value = b", ".join(option for option in options if option.lower() not in _UPGRADING)
                if name not in _UPGRADING:
                    lines.append(name + b": " + value)
            return b"\r\n".join([*lines, b"", b""])

        def pause_writing(self) -> None:
            super().pause_writing()
            self._watch_reader(self.unread)
            connections.blocked(self)

        def resume_writing(self) -> None:
            self._stop_stall()
            connections.flows(self)
            super().resume_writing()

        def _watch_reader(self, unread: int) -> None:
            """Cut the connection when its client takes next to nothing for `write_seconds`."""
            self._stop_stall()
            self._stall = self.loop.call_later(limits.write_seconds, self._check_reader, unread)

        def _check_reader(self, before: int) -> None:
            if self.unread > before - _STEP:
                self.cut()
            else:
                self._watch_reader(self.unread)

        def _stop_stall(self) -> None:
            if self._stall is not None:
                self._stall.cancel()
                self._stall = None

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _count(self, size: int) -> None:
            self._size += size
            if self._size > limits.max_header_bytes:
                raise _HeadTooLarge

        def send_400_response(self, msg: str) -> None:
            if self._size > limits.max_header_bytes:
                msg = f"The request's head is larger than {limits.max_header_bytes} bytes"
                self._refuse(_invalid(431, msg, "headers_too_large"))
            elif self._chunks > _MAX_CHUNKS:
                msg = f"The request's body comes in more than {_MAX_CHUNKS} chunks: send larger ones"
                self._refuse(_invalid(400, msg, "too_many_chunks"))
            else:
                self._refuse(_invalid(400, msg, "invalid_http"))

        def _refuse(self, error: OpenAIError) -> None:
            """Answer what is being read with an error, when all before it has its answer, and close."""
            self._refusal = error
            if self._in_body:
                if self.cycle.response_started:  # it has its answer
                    self.transport.close()
                    return
                _leave(self.cycle)
                self._unanswered.pop()
                self.pipeline = deque(waiting for waiting in self.pipeline if waiting[0] is not self.cycle)
            if not self._unanswered:
                self._send_refusal(error)

        def _send_refusal(self, error: OpenAIError) -> None:
            if not self.transport.is_closing():
                self.transport.write(_raw(error))
                self.transport.close()

    return LimitedProtocol


def _leave(cycle: RequestResponseCycle) -> None:
    """Its handler hears that the client is gone, and what it sends goes nowhere."""
    cycle.disconnected = True
    cycle.message_event.set()
    call = cycle.scope.get(CALL)
    if isinstance(call, Call):
        call.left()


def _unchunked(cycle: Any) -> None:
    """HTTP/1.0 knows no chunks: a body of unknown length ends with the connection, which uvicorn closes then."""
    send, streams = cycle.send, False

    async def send_unchunked(message: MutableMapping[str, Any]) -> None:
        nonlocal streams
        if message["type"] == "http.response.start":
            streams = not any(name.lower() == b"content-length" for name, _ in message["headers"])
            if streams:
                cycle.chunked_encoding = False
        elif streams:
            cycle.expected_content_length = len(message.get("body", b""))  # of this piece
        await send(message)

    cycle.send = send_unchunked


class _HeadTooLarge(Exception):
    """Raised inside the parser, which hands it on as its own error."""


class _TooManyChunks(Exception):
    """As `_HeadTooLarge`."""


def _invalid(status: int, message: str, code: str) -> OpenAIError:
    return OpenAIError(message, status, "invalid_request_error", code)


def _busy() -> OpenAIError:
    return OpenAIError(
        "Too many connections are at work (gateway.max_connections)",
        503,
        "server_error",
        "too_many_connections",
        None,
        1,
    )


def _raw(error: OpenAIError) -> bytes:
    body = error.json()
    reason: dict[int, Any] = {
        400: "Bad Request",
        431: "Request Header Fields Too Large",
        503: "Service Unavailable",
    }
    wait = "" if error.retry_after is None else f"retry-after: {error.retry_after}\r\n"
    head = (
        f"HTTP/1.1 {error.status} {reason[error.status]}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nx-request-id: {new_decision_id()}\r\n{wait}connection: close\r\n\r\n"
    )
    return head.encode() + body
