"""AWS's event stream (application/vnd.amazon.eventstream), by botocore's own reader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from router_backend.core.jsonio import load


class Event(NamedTuple):
    """One frame; `failed`: it is an exception, which ends the stream."""

    name: str
    fields: dict[str, Any]
    failed: bool = False


class FrameError(ValueError):
    """Bytes that are no frame; the message says why."""


class Frames:
    """The frames of one answer, whatever pieces they come in."""

    def __init__(self) -> None:
        from botocore.eventstream import EventStreamBuffer  # botocore is of the extra `aws`

        self._buffer = EventStreamBuffer()
        self._held = 0  # bytes of a frame that isn't whole

    @property
    def pending(self) -> bool:
        """Whether a frame has begun that isn't complete."""
        return self._held > 0

    def feed(self, data: bytes) -> Iterator[Event]:
        """The frames that are complete now.

        Raises:
            FrameError: a checksum or a length is wrong, or a frame is none of ours.
        """
        from botocore.eventstream import ParserError

        self._buffer.add_data(data)
        self._held += len(data)
        try:
            for message in self._buffer:
                self._held -= message.prelude.total_length
                yield _event(message.headers, message.payload)
        except ParserError as error:
            raise FrameError(str(error)) from error


def _event(headers: dict[str, Any], payload: bytes) -> Event:
    kind = headers.get(":message-type")
    if kind == "error":  # not of the model: the service's own
        fields = {"message": str(headers.get(":error-message") or headers.get(":error-code"))}
        return Event(str(headers.get(":error-code")), fields, failed=True)
    try:
        fields = load(payload) if payload else {}
    except ValueError as error:
        raise FrameError("a frame whose payload is not JSON") from error
    if not isinstance(fields, dict):
        raise FrameError("a frame whose payload is no JSON object")
    if kind == "exception":
        return Event(str(headers.get(":exception-type")), fields, failed=True)
    return Event(str(headers.get(":event-type")), fields)
