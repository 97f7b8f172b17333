"""A kill -9 in the midst of a checkpoint, of the log's shortening or of an upload: nothing acknowledged is lost, nothing counted twice.

LLM_ROUTER_KILLS sets the number of kills of each kind and store (default 3).
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from router_backend.archive.archiver import Archiver
from router_backend.archive.events import archived_events
from router_backend.archive.place import open_place
from router_backend.learning.following import Following
from router_backend.learning.resume import followed, resumed
from router_backend.state.store import Store
from tests.archive.conftest import open_replica, redis_server, redis_url, sqlite_url, store_url
from tests.learning.kill_child import CONFIG, LEASE, SPACE
from tests.learning.test_checkpoint import assert_same
from tests.learning.test_compaction import read_on
from tests.state.examples import make_decision, make_feedback, make_outcome

__all__ = ["open_replica", "redis_server", "redis_url", "sqlite_url", "store_url"]
KILLS = int(os.environ.get("LLM_ROUTER_KILLS", "3"))
_ROOT = Path(__file__).parents[2]


def acknowledge(store: Store, number: int) -> str:
    decision = make_decision(number)
    store.append([decision], [make_outcome(decision)])
    store.add_feedback(make_feedback(decision, score=(number % 5) / 4))
    return decision.decision_id


def uploads(store: Store, folder: Path) -> int:
    return len(open_place("archive", folder).files("events"))


def checkpoints(store: Store, folder: Path) -> int:
    """The position of the latest."""
    return resumed(store, CONFIG, SPACE).sequence


def removals(store: Store, folder: Path) -> int:
    return store.compaction().mark()


@pytest.mark.slow
@pytest.mark.parametrize("progress", [uploads, checkpoints, removals])
def test_what_was_acknowledged_is_learned_once(
    open_replica: Callable[[], Store], store_url: str, tmp_path: Path, progress: Callable[[Store, Path], int]
) -> None:
    store, draw, acknowledged = open_replica(), random.Random(1), list[str]()
    for _ in range(KILLS):
        script = [sys.executable, "-m", "tests.learning.kill_child", store_url, str(tmp_path)]
        with subprocess.Popen(script, stdout=subprocess.PIPE, cwd=_ROOT, text=True) as child:
            assert child.stdout is not None
            child.stdout.readline()
            before, deadline = progress(store, tmp_path), time.monotonic() + 300
            while progress(store, tmp_path) == before:  # that which follows goes on right now
                assert child.poll() is None, "it ended by itself"
                assert time.monotonic() < deadline, "it does nothing"
                acknowledged += [acknowledge(store, len(acknowledged) + n) for n in range(3)]
            time.sleep(draw.uniform(0, 0.02))
            child.kill()
    check(store, tmp_path, acknowledged)


def check(store: Store, folder: Path, acknowledged: list[str]) -> None:
    """Store and archive have each observation once; what is left teaches what all of them do."""
    mark, place = store.compaction().mark(), open_place("archive", folder)
    former = [event for page in archived_events(place, store.log(), mark) for event in page]
    events = [*former, *store.events(mark, 100_000)]
    assert [event.decision_id for event in events] == acknowledged
    assert [event.sequence for event in events] == list(range(1, len(acknowledged) + 1))
    assert store.event_count() == len(acknowledged)
    assert sum(count["feedback"] for count in store.counts().values()) == len(acknowledged)
    found = read_on(store, followed(store, CONFIG, SPACE, None, Following(store)))
    assert not found.lacks
    whole = type(found)(CONFIG, SPACE)
    whole.fold(events)
    assert_same(found, whole)
    archiver, deadline = Archiver(store, place, lease_seconds=LEASE), time.monotonic() + 120
    while store.outbox().take(1).records:  # the lease of the one that was killed ends by itself
        assert time.monotonic() < deadline
        archiver.drain()
    archived = [event.decision_id for page in archived_events(place, store.log(), len(events)) for event in page]
    assert archived == acknowledged
