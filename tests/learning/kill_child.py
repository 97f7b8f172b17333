"""A router that writes checkpoints, shortens the log and archives all the time, until it is killed.

python -m tests.learning.kill_child URL STATE_DIR
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from router_backend.archive.archiver import Archiver
from router_backend.archive.place import open_place
from router_backend.learning import following, learner
from router_backend.state.open import open_store
from router_backend.state.redis import compaction as of_redis
from router_backend.state.sqlite import compaction as of_sqlite
from tests.learning.test_checkpoint import ARMS, config_of

SPACE = 7  # of `make_decision`
CONFIG = config_of(*ARMS, extra='archive: "archive"\n')
LEASE = 0.05


def run(url: str, folder: Path) -> None:
    learner._CHECKPOINT_SECONDS = 0.0
    learner._LEASE_SECONDS = following._LEASE_SECONDS = LEASE
    following._FOLLOW_SECONDS = 0.0
    for store_module in (of_redis, of_sqlite):
        store_module.BATCH = 2  # type: ignore[attr-defined]
        store_module.READER_SECONDS = 2.0  # type: ignore[attr-defined]
    store = open_store(url, folder)
    router = learner.Learner(store, CONFIG, SPACE, poll_seconds=0.001, checkpoint_events=5)
    router.start()
    router.wait_until_current(60)
    sys.stdout.write("begins\n")
    sys.stdout.flush()
    Archiver(store, open_place("archive", folder), group=7, lease_seconds=LEASE).run(threading.Event(), 0.001)


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]))
