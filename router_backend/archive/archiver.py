"""Moves what the store was told into the archive, a group at a time.

At least once: a group is done with in the store after its files are durable. Of several archivers one works, who holds the lease;
who was taken for dead and comes back late writes rows twice at most, which readers tell by their ids.
"""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time

from router_backend.archive.place import ArchiveError, Place
from router_backend.archive.tidy import tidy
from router_backend.archive.writer import write
from router_backend.state.store import Store, StoreError

EVERY_SECONDS = 300.0
GROUP = 20_000
"""Records of each kind."""
LEASE_SECONDS = 120.0
TIDY_SECONDS = 900.0
_RETRY_SECONDS = 10.0
_log = logging.getLogger(__name__)


class Archiver:
    """Works in the thread that calls it."""

    def __init__(self, store: Store, place: Place, group: int = GROUP, lease_seconds: float = LEASE_SECONDS) -> None:
        """`lease_seconds`: after which another one goes on where this one is gone."""
        self._store, self._place, self._group, self._lease_seconds = store, place, group, lease_seconds
        self._holder = secrets.token_hex(8)

    def drain(self) -> int:
        """Archive all there is. Returns how many records; 0 as well while another archiver works.

        Raises:
            ArchiveError, StoreError: the rest waits.
        """
        total = 0
        while self._holds():
            parcel = self._store.outbox().take(self._group)
            if not parcel.records and parcel.begins == parcel.ends:
                break
            write(self._place, parcel.records, parcel.log)
            if not self._store.outbox().done(parcel):
                break
            total += len(parcel.records)
        return total

    def _holds(self) -> bool:
        return self._store.claim("archive", self._holder, self._lease_seconds)

    def run(self, stop: threading.Event, every: float = EVERY_SECONDS) -> None:
        """Archive now and every so many seconds, tidy from time to time, and archive once more when `stop` is set."""
        tidied = -math.inf
        while True:
            stopping, pause, began = stop.is_set(), every, time.monotonic()
            try:
                if count := self.drain():
                    _log.info("%d records archived in %s", count, self._place.shown)
                if not stopping and began >= tidied + TIDY_SECONDS and self._holds():
                    tidy(self._place, lambda: not stop.is_set() and self._holds())
                    tidied = began
            except (ArchiveError, StoreError) as error:
                _log.warning("records wait to be archived: %s", error)
                pause = min(every, _RETRY_SECONDS)
            if stopping:
                return
            stop.wait(max(0.0, pause - (time.monotonic() - began)))
