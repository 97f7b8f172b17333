"""Notices that `router.yaml` has changed. A file that doesn't validate is reported, and the running one stays in force."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from router_backend.config.load import ConfigError
from router_backend.config.runtime import runtime_config
from router_backend.config.schema import RouterConfig
from router_backend.core.background import kept_thread

log = logging.getLogger(__name__)


class ConfigWatcher:
    """Compares the file's content every `seconds`: a mounted ConfigMap changes by swapping links, which events miss."""

    def __init__(self, path: Path, changed: Callable[[RouterConfig], None], seconds: float = 0.5) -> None:
        self._path, self._changed, self._seconds = path, changed, seconds
        self._digest = self._read()
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread = kept_thread("config-watch", self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def check(self) -> None:
        """Look at once, and return when a change is in force."""
        with self._lock:
            digest = self._read()
            if digest in (self._digest, b""):
                return
            self._digest = digest
            try:
                self._changed(runtime_config(self._path))
            except ConfigError as error:
                log.error("router.yaml changed and can't be used, the one before stays in force:\n%s", error)
            except Exception:
                log.exception("router.yaml changed and could not be applied, the one before stays in force")

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            self.check()

    def _read(self) -> bytes:
        try:
            return hashlib.sha256(self._path.read_bytes()).digest()
        except OSError:
            return b""
