"""The archiver as a process of its own, beside the routers."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import closing
from pathlib import Path

from router_backend.archive.archiver import EVERY_SECONDS, Archiver
from router_backend.archive.place import ArchiveError, Place, open_place
from router_backend.config import RouterConfig
from router_backend.state.open import open_store

_NICENESS = 10


def archive_place(config: RouterConfig, state_dir: Path) -> Place:
    """ArchiveError if the configuration names none."""
    if config.archive is None:
        raise ArchiveError(
            "router.yaml names no `archive`: give a folder or a bucket, such as `archive: s3://bucket/router`"
        )
    return open_place(config.archive, state_dir)


def archive_once(config: RouterConfig, state_dir: Path) -> int:
    """Archive all there is; how many records."""
    place = archive_place(config, state_dir)
    with closing(open_store(config.state, state_dir, config.retention_days)) as store:
        return Archiver(store, place).drain()


def serve(config: RouterConfig, state_dir: Path, every: float = EVERY_SECONDS) -> None:
    """Archive until SIGTERM or SIGINT. The process gives way to others that want the processor: nobody waits for an archive."""
    os.nice(_NICENESS)
    place = archive_place(config, state_dir)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with closing(open_store(config.state, state_dir, config.retention_days)) as store:
        Archiver(store, place).run(stop, every)
