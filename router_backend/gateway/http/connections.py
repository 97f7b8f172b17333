"""All connections of one server: how many there may be, which one makes room, and what waits in them to be read."""

from __future__ import annotations

import resource
from collections.abc import Iterable
from typing import Protocol

_RESERVE = 256  # open files that are no client's: listeners, logs, Triton, certificates
_UNREAD_BYTES = 64 * 1024 * 1024  # of answers that wait for clients that read slowly


class Connection(Protocol):
    """What is asked of one connection."""

    @property
    def unread(self) -> int:
        """Bytes that its client has not taken yet."""

    def cut(self) -> None:
        """End it at once, whatever waits in it."""


class Connections:
    """Idle connections give way to new ones, those that never sent a request first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # In order of age; a dict, because it is an ordered set.
        self._silent: dict[Connection, None] = {}  # no request has come yet
        self._idle: dict[Connection, None] = {}  # between two requests
        self._busy: dict[Connection, None] = {}
        self._unread: dict[Connection, None] = {}  # the oldest wait first

    def opened(self, connection: Connection) -> bool:
        """Count a connection; False if all others are at work and there is no room."""
        if len(self._silent) + len(self._idle) + len(self._busy) >= self._limit:
            oldest = next(iter(self._silent or self._idle), None)
            if oldest is None:
                return False
            self.closed(oldest)
            oldest.cut()
        self._silent[connection] = None
        return True

    def works(self, connection: Connection) -> None:
        """A request has come."""
        self.closed(connection)
        self._busy[connection] = None

    def rests(self, connection: Connection) -> None:
        """All its requests have been answered."""
        if self._busy.pop(connection, 0) is None:
            self._idle[connection] = None

    def closed(self, connection: Connection) -> None:
        for group in (self._silent, self._idle, self._busy, self._unread):
            group.pop(connection, None)

    def blocked(self, connection: Connection) -> None:
        """The client doesn't take what is sent. What waits for all of them is bounded: the longest wait ends."""
        self._unread[connection] = None
        while len(self._unread) > 1 and _sum(self._unread) > _UNREAD_BYTES:
            oldest = next(iter(self._unread))
            self.closed(oldest)
            oldest.cut()

    def flows(self, connection: Connection) -> None:
        """The client has caught up."""
        self._unread.pop(connection, None)


def _sum(connections: Iterable[Connection]) -> int:
    return sum(connection.unread for connection in connections)


def connection_limit(wanted: int) -> int:
    """At most `wanted`, and what the limit of open files allows; that is raised as far as it may be.

    Each request may need a connection to a model besides its client's own.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        needed = 2 * wanted + _RESERVE
        if soft < needed:
            soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        wanted = min(wanted, max(1, (soft - _RESERVE) // 2))
    return wanted
