"""uvicorn's HTTP/1.1 protocol with what it lacks: limits on a request's head, and errors in OpenAI's shape."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from router_backend.core.errors import OpenAIError
from router_backend.core.ids import new_decision_id


def limited_protocol(max_header_bytes: int, header_seconds: float) -> type[HttpToolsProtocol]:
    """A protocol class that refuses heads of more than `max_header_bytes` or that take longer than `header_seconds`."""

    class LimitedProtocol(HttpToolsProtocol):
        _size = 0
        _refused = False
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._timer = self.loop.call_later(header_seconds, transport.close)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            self._size = 0
            if self._timer is None:
                self._timer = self.loop.call_later(header_seconds, self.transport.close)
            super().on_message_begin()

        def on_url(self, url: bytes) -> None:
            super().on_url(url)
            self._count(len(url))

        def on_header(self, name: bytes, value: bytes) -> None:
            super().on_header(name, value)
            self._count(len(name) + len(value))

        def on_headers_complete(self) -> None:
            self._stop_timer()
            super().on_headers_complete()

        def data_received(self, data: bytes) -> None:
            if not self._refused:
                super().data_received(data)

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _count(self, size: int) -> None:
            self._size += size
            if self._size > max_header_bytes:
                raise _HeadTooLarge

        def send_400_response(self, msg: str) -> None:
            self._refused = True
            too_large = self._size > max_header_bytes
            error = (
                _invalid(431, f"The request's head is larger than {max_header_bytes} bytes", "headers_too_large")
                if too_large
                else _invalid(400, msg, "invalid_http")
            )
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(_raw(error))
            self.transport.close()

    return LimitedProtocol


class _HeadTooLarge(Exception):
    """Raised inside the parser, which hands it on as its own error."""


def _invalid(status: int, message: str, code: str) -> OpenAIError:
    return OpenAIError(message, status, "invalid_request_error", code)


def _raw(error: OpenAIError) -> bytes:
    body = error.json()
    reason: dict[int, Any] = {400: "Bad Request", 431: "Request Header Fields Too Large"}
    head = (
        f"HTTP/1.1 {error.status} {reason[error.status]}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nx-request-id: {new_decision_id()}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
