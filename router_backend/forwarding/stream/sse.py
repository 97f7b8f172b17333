"""Server-sent events, parsed incrementally (WHATWG HTML, section 9.2.6): only the data is kept."""

from __future__ import annotations

DONE = b"[DONE]"
MAX_EVENT_BYTES = 16 * 1024 * 1024


class EventTooLarge(ValueError):
    """An event grew beyond `MAX_EVENT_BYTES` without an end."""


class SSEParser:
    """Bytes in, the data of complete events out. Reads may be split anywhere, within a line end or a character too."""

    __slots__ = ("_data", "_rest", "_size", "_skip_lf", "_started")

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0
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
        if self._rest:
            data = self._rest + data
        self._skip_lf = data[-1] == 0x0D
        lines = data.splitlines()
        self._rest = b"" if data[-1] in (0x0A, 0x0D) else lines.pop()
        if len(self._rest) + self._size > MAX_EVENT_BYTES:
            raise EventTooLarge(f"an event of more than {MAX_EVENT_BYTES} bytes")
        events: list[bytes] = []
        for line in lines:
            self._line(line, events)
        return events

    def flush(self) -> list[bytes]:
        """At the end of the stream: an event that only lacks its empty line, which some servers leave out."""
        events: list[bytes] = []
        if self._rest:
            self._line(self._rest, events)
        self._line(b"", events)
        self._rest = b""
        return events

    def _line(self, line: bytes, events: list[bytes]) -> None:
        if not self._started:
            self._started = True
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            if self._data:
                event = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                self._data.clear()
                self._size = 0
                if event:
                    events.append(event)
        elif line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
            self._data.append(value)
            self._size += len(line)  # an empty line of data takes memory, too
            if self._size > MAX_EVENT_BYTES:
                raise EventTooLarge(f"an event of more than {MAX_EVENT_BYTES} bytes")
        elif line == b"data":
            self._data.append(b"")
            self._size += len(line)


def frame(payloads: list[bytes]) -> bytes:
    """SSE frames, one per payload, as one piece."""
    return b"data: " + b"\n\ndata: ".join(payloads) + b"\n\n"
