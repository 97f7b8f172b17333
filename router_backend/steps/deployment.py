"""What the steps of one process share with the deployment they belong to: the configuration in force and the state store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from router_backend.config import RouterConfig
from router_backend.config.runtime import config_path, runtime_config, state_dir
from router_backend.config.watch import ConfigWatcher
from router_backend.learning.implicit import ImplicitFeedback
from router_backend.state.backlog import Backlog
from router_backend.state.open import open_store


class Writer(Protocol):
    """Writes to the store until it is closed."""

    def close(self) -> None: ...


class Deployment:
    """Opened once in a process by its host.

    Raises:
        ConfigError: router.yaml is wrong.
        StoreError: the state store can't be opened.
    """

    def __init__(self, path: Path | None = None, folder: Path | None = None) -> None:
        """`path` of router.yaml and `folder` of the state; by default those that the environment names."""
        path, self.folder = path or config_path(), folder or state_dir()
        self.config = runtime_config(path)
        self.store = open_store(self.config.state, self.folder, self.config.retention_days)
        self.backlog = Backlog(self.folder)
        self.implicit = ImplicitFeedback(self.store, self.config.implicit)
        self._apply: Callable[[RouterConfig], None] = lambda config: None
        self._watcher = ConfigWatcher(path, self._changed)

    def watch(self, apply: Callable[[RouterConfig], None]) -> None:
        """Call `apply`, on a thread of its own, with each valid configuration that router.yaml changes to."""
        self._apply = apply
        self._watcher.start()

    def check(self) -> None:
        """Look at router.yaml now, and return when a change is in force."""
        self._watcher.check()

    def close(self, *writers: Writer) -> None:
        """Close the host's writers, and then the store that they write to."""
        self._watcher.stop()
        for writer in (*writers, self.implicit):
            writer.close()
        self.store.close()
        self.backlog.close()

    def _changed(self, config: RouterConfig) -> None:
        self._apply(config)
        self.config = config
        self.implicit.signals = config.implicit
