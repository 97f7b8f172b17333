"""What no checkpoint holds is learned again from the archive by a router itself, beside what it does."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from pathlib import Path

from router_backend.classifier.space_map import SpaceMap
from router_backend.classifier.tasks import TasksOf
from router_backend.config import RouterConfig
from router_backend.learning.rebuild import rebuild
from router_backend.learning.resume import GAP_ADVICE
from router_backend.state.store import Store

_LEASE_SECONDS = 900.0  # for which no other router does the same
_log = logging.getLogger(__name__)


class Refill:
    """One at a time; its checkpoint is for all routers of the same configuration."""

    def __init__(self, store: Store, state_dir: Path, space_map: SpaceMap | None, tasks_of: TasksOf) -> None:
        """`state_dir`: where a relative `archive` lies."""
        self._store, self._state_dir, self.space_map, self._tasks_of = store, state_dir, space_map, tasks_of
        self._holder = secrets.token_hex(8)
        self._thread: threading.Thread | None = None
        self._again_at: dict[str, float] = {}  # by key, monotonic: what has failed isn't tried all the time

    def begin(self, config: RouterConfig, space: int, key: str) -> None:
        """Unless another router or this one is at it. StoreError if the store can't say."""
        if config.archive is None or (self._thread is not None and self._thread.is_alive()):
            return
        if time.monotonic() < self._again_at.get(key, 0.0):
            return
        if self._store.claim(f"rebuild:{key}", self._holder, _LEASE_SECONDS):
            self._again_at[key] = time.monotonic() + _LEASE_SECONDS
            self._thread = threading.Thread(target=self._run, args=(config, space), name="refill", daemon=True)
            self._thread.start()

    def _run(self, config: RouterConfig, space: int) -> None:
        began = time.monotonic()
        try:
            done = rebuild(self._store, config, self._state_dir, space, self.space_map, tasks=self._tasks_of(space))
        except Exception as error:
            _log.warning("the archive can't be learned from (%s): %s", error, GAP_ADVICE)
            return
        seconds = time.monotonic() - began
        _log.info("%d observations were learned again from the archive in %.1f s", done.archived + done.kept, seconds)
