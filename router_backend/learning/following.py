"""A router among the readers of the log: it says how far each of its folds has read, and shortens the log behind all readers."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable

from router_backend.learning.fold import Fold
from router_backend.state.compaction import READER_SECONDS, Reader
from router_backend.state.store import Store

_FOLLOW_SECONDS = READER_SECONDS / 8
_LEASE_SECONDS = 60.0  # after which another router shortens the log, where the one that did is gone


class Following:
    """For one thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._holder = secrets.token_hex(8)
        self._follow_at: dict[int, float] = {}  # by embedding space, monotonic

    def follow(self, fold: Fold) -> int:
        """Say how far a fold has read. Returns the log's mark: events up to it are in the archive alone."""
        self._follow_at[fold.space] = time.monotonic() + _FOLLOW_SECONDS
        name = f"{self._holder}:{fold.space}"
        reader = Reader(name, fold.log, fold.sequence, fold.key if fold.whole else "")
        return self._store.compaction().follow(reader)

    def missed(self, folds: Iterable[Fold]) -> list[int]:
        """Follow with the folds whose turn it is; the embedding spaces of those that the log was shortened in front of."""
        now = time.monotonic()
        due = [fold for fold in folds if now >= self._follow_at.get(fold.space, 0.0)]
        return [fold.space for fold in due if self.follow(fold) > fold.sequence]

    def compact(self, log: str) -> None:
        """One router at a time does so."""
        if self._store.claim("compaction", self._holder, _LEASE_SECONDS):
            self._store.compaction().compact(log)
