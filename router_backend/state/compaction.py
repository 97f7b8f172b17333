"""Shortening of the log: events that the archive has, and that nobody will read from the store again, are removed.

Each router says how far it has read, and from which checkpoints it would start again. What is kept is what lies behind the
archive, behind the router that has read least, and behind the older of the two checkpoints (or the only one) of each kind that somebody starts from.
So a router never misses an event, unless it begins to learn in another way; then it finds the gap by the mark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

READER_SECONDS = 120.0
"""After which a router that says nothing isn't there."""
KEY_SECONDS = 86_400.0
"""For which a kind of checkpoints still holds events after its last router: the time to go back to a former configuration."""
BATCH = 2000
"""Events that are removed in one step, so that writers get in between."""


@dataclass(frozen=True, slots=True)
class Reader:
    """How far one fold of one router has read."""

    name: str
    log: str  # the name of the log
    sequence: int
    key: str  # of the checkpoints that it starts from again; empty: none are written


class Compaction(Protocol):
    """Every method may raise StoreError."""

    def follow(self, reader: Reader) -> int:
        """Say how far one has read, and keep the checkpoints that one starts from. Returns the mark: no event up to it is in the
        log any more, and none behind the reader's position will go while it is heard of."""
        ...

    def readers(self) -> list[Reader]:
        """Those that were heard of within `READER_SECONDS`."""
        ...

    def mark(self) -> int:
        """The last event that was removed; 0: the log is whole."""
        ...

    def compact(self, log: str) -> int:
        """Remove what nobody needs, as long as the log has this name; how many events."""
        ...
