"""A kill -9 of the archiver at any moment: nothing is lost, nothing is counted twice.

LLM_ROUTER_KILLS sets the number of kills of each store (default 5).
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from router_backend.archive.archiver import Archiver
from router_backend.archive.place import Place, open_place
from router_backend.archive.reading import tables
from router_backend.config import load_config
from router_backend.core.records import Decision
from router_backend.observability.archived import build_archived
from router_backend.state.store import Store
from tests.state.examples import make_decision, make_feedback, make_outcome
from tests.support.configs import local_config

KILLS = int(os.environ.get("LLM_ROUTER_KILLS", "5"))
_ROOT = Path(__file__).parents[2]
_LEASE = 0.05
_ARCHIVER = """
import sys, threading
from pathlib import Path
from router_backend.archive.archiver import Archiver
from router_backend.archive.place import open_place
from router_backend.state.open import open_store
folder = Path(sys.argv[2])
archiver = Archiver(open_store(sys.argv[1], folder), open_place("archive", folder), group=7, lease_seconds={lease})
print("begins", flush=True)
archiver.run(threading.Event(), 0.001)
"""


def write(store: Store, number: int) -> Decision:
    decision = make_decision(number)
    store.append([decision], [make_outcome(decision)])
    store.add_feedback(make_feedback(decision))
    return decision


def files(place: Place) -> int:
    return len(place.files("decisions"))


def test_a_killed_archiver_loses_nothing_and_counts_nothing_twice(
    open_replica: Callable[[], Store], store_url: str, tmp_path: Path
) -> None:
    store, place, draw = open_replica(), open_place("archive", tmp_path), random.Random(1)
    written: list[Decision] = []
    for _ in range(KILLS):
        before = files(place)
        script = [sys.executable, "-c", _ARCHIVER.format(lease=_LEASE), store_url, str(tmp_path)]
        with subprocess.Popen(script, stdout=subprocess.PIPE, cwd=_ROOT, text=True) as archiver:
            assert archiver.stdout is not None
            archiver.stdout.readline()
            goal = before + draw.randint(1, 3)  # killed in the midst of the files that follow
            while files(place) < goal:
                written.append(write(store, len(written)))
            archiver.kill()
    last = Archiver(store, place, lease_seconds=_LEASE)
    deadline = time.monotonic() + 300
    while store.outbox().take(1).records:  # the lease of the one that was killed ends by itself
        assert time.monotonic() < deadline
        last.drain()
    ids = sorted(decision.decision_id for decision in written)
    with tables(place) as opened:
        opened.show()
        for table in ("decisions", "outcomes", "feedback", "events"):
            rows = opened.query(f"SELECT DISTINCT decision_id FROM {table} ORDER BY 1")
            assert [row["decision_id"] for row in rows] == ids
        events = opened.query("SELECT DISTINCT log, sequence FROM events")
        assert sorted(event["sequence"] for event in events) == list(range(1, len(ids) + 1))
        report = build_archived(opened, load_config(local_config(tmp_path)), 0.0, time.time() + 60)
    assert (report.total.requests, report.total.scored, report.unanswered) == (len(ids), len(ids), 0)
