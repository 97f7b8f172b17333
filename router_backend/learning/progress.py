"""How far a router is behind the log of learning, and that it says so."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from router_backend.state.store import Store

_TELL_EVENTS = 20_000  # with fewer to read a router is as good as current
_log = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0


class Furthest:
    """How far the router that is furthest behind is, of all routers of a store, as they said within the last 15 seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found, self._until = 0, 0.0

    def events(self) -> int:
        """Events that it has still to read; looked up every few seconds. StoreError if the store can't say."""
        if time.monotonic() >= self._until:
            end, log = self._store.log_end(), self._store.log()
            behind = [end - reader.sequence for reader in self._store.compaction().readers() if reader.log == log]
            self._found, self._until = max(0, *behind, 0), time.monotonic() + _LOOK_SECONDS
        return self._found


class Progress:
    """Of one reader. `behind` may be read by any thread."""

    def __init__(self, told: Callable[[], None] = lambda: None) -> None:
        """`told`: called when `behind` has changed while much is left to read."""
        self.behind = 0
        self._told = told
        self._began: tuple[float, int] | None = None  # monotonic time and position at which it was said

    def at(self, sequence: int, end: int) -> None:
        """All up to an event was read, of a log that ended at another one a moment ago."""
        self.behind = max(0, end - sequence)
        if self._began is None and self.behind >= _TELL_EVENTS:
            self._began = time.monotonic(), sequence
            _log.warning("learning is %d events behind the log; routing goes on by what is learned so far", self.behind)
        elif self._began is not None and not self.behind:
            began, first = self._began
            seconds = max(time.monotonic() - began, 1e-9)
            _log.info("learning has caught up: %d events in %.1f s", sequence - first, seconds)
            self._began = None
        if self._began is not None:
            self._told()
