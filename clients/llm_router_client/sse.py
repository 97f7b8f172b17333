"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) from bytes as they come."""

from __future__ import annotations


class EventSplitter:
    """Takes pieces cut anywhere, gives the `data` of each event that is complete.

    Lines end at CR, LF or CRLF alone: `str.splitlines`, and so httpx's `iter_lines`, also cuts at U+2028 and others,
    which JSON may hold as they are.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[str]:
        """The events that end in `piece`."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        events = []
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                events.append(b"\n".join(self._data).decode())
                self._data = []
        return events
