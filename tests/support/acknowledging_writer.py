"""A process that writes to a store until it is killed, and says on standard output what was acknowledged to it.

    python -m tests.support.acknowledging_writer URL STATE_DIR SEED

Each line is an id whose decision was flushed and whose feedback was acknowledged. Two threads write, so that groups form.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from router_backend.learning.recorder import Recorder
from router_backend.state.open import open_store
from router_backend.state.store import StoreError
from tests.state.examples import make_decision, make_feedback, make_outcome


def write(url: str, state_dir: Path, seed: int) -> None:
    store = open_store(url, state_dir)
    recorder = Recorder(store)

    def one_thread(first: int) -> None:
        for number in range(first, first + 1_000_000):
            decision = make_decision(number)
            recorder.decision(decision)
            recorder.outcome(make_outcome(decision))
            if not recorder.flush(decision.decision_id, 5.0):
                continue
            try:
                store.add_feedback(make_feedback(decision))
            except StoreError:
                continue
            os.write(1, f"{decision.decision_id}\n".encode())  # one system call: a whole line or nothing

    threads = [threading.Thread(target=one_thread, args=(seed + 1_000_000 * index,)) for index in range(2)]
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
