"""Server-sent events, parsed incrementally (WHATWG HTML, section 9.2.6): only the data is kept."""

from __future__ import annotations

DONE = b"[DONE]"
MAX_EVENT_BYTES = 16 * 1024 * 1024
MAX_EVENT_LINES = 64 * 1024
"""Lines of one byte cost a hundred times what long ones do."""


class EventTooLarge(ValueError):
    """More than the limits without an event: one without an end, or comments and empty lines for ever."""


class SSEParser:
    """Bytes in, the data of complete events out. Reads may be split anywhere, within a line end or a character too."""

    __slots__ = ("_data", "_lines", "_rest", "_size", "_skip_lf", "_started")

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # pieces of a line without its end
        self._data: bytes | bytearray | None = None
        self._size = self._lines = 0
        self._skip_lf = False
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that `data` completes, in order; empty events and comments are left out.

        Raises:
            EventTooLarge: an event without an end.
        """
        if self._skip_lf and data:
            self._skip_lf = False
            if data[0] == 0x0A:
                data = data[1:]
        if not data:
            return []
        self._size += len(data)
        events: list[bytes] = []
        if b"\n" not in data and b"\r" not in data:
            self._rest.append(data)
        else:
            if self._rest:
                data = b"".join((*self._rest, data))
                self._rest.clear()
            self._skip_lf = data[-1] == 0x0D
            lines = data.splitlines()
            if data[-1] not in (0x0A, 0x0D):
                self._rest.append(lines.pop())
            self._lines += len(lines)
            for line in lines:
                self._line(line, events)
        if events:
            self._size = self._lines = 0
        elif self._size > MAX_EVENT_BYTES:
            raise EventTooLarge(f"more than {MAX_EVENT_BYTES} bytes without an event")
        elif self._lines > MAX_EVENT_LINES:
            raise EventTooLarge(f"more than {MAX_EVENT_LINES} lines without an event")
        return events

    def flush(self) -> list[bytes]:
        """At the end of the stream: an event that only lacks its empty line, which some servers leave out."""
        events: list[bytes] = []
        if self._rest:
            self._line(b"".join(self._rest), events)
            self._rest.clear()
        self._line(b"", events)
        return events

    def _line(self, line: bytes, events: list[bytes]) -> None:
        if not self._started:
            self._started = True
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            if self._data:
                events.append(bytes(self._data))
            self._data = None
        elif line.startswith(b"data:"):
            self._add(line[6:] if line[5:6] == b" " else line[5:])
        elif line == b"data":
            self._add(b"")

    def _add(self, value: bytes) -> None:
        if self._data is None:
            self._data = value
        else:
            if not isinstance(self._data, bytearray):
                self._data = bytearray(self._data)
            self._data += b"\n" + value


def frame(payloads: list[bytes]) -> bytes:
    """SSE frames, one per payload, as one piece."""
    return b"data: " + b"\n\ndata: ".join(payloads) + b"\n\n"
