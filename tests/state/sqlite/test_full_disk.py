"""A disk that is full: what was acknowledged stays, the rest is refused and not half-written, and it goes on afterwards.

In a process of its own, whose files may grow no further: to SQLite that is a disk that takes nothing.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from router_backend.state.sqlite.store import SQLiteStore
from tests.support.running import PROJECT, clean_environment

PROGRAM = """
import resource, sys
from pathlib import Path
from router_backend.state.sqlite.store import SQLiteStore
from router_backend.state.store import StoreError, UnknownDecision
from tests.state.examples import make_decision, make_feedback, make_outcome

store = SQLiteStore(Path(sys.argv[1]))
known = [make_decision(number) for number in range(50)]
store.append(known, [make_outcome(decision) for decision in known])
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (Path(sys.argv[1] + "-wal").stat().st_size + 100_000, hard))
refused = 0
for decision in known:
    try:
        assert not isinstance(store.add_feedback(make_feedback(decision)), UnknownDecision)
        print("acknowledged", decision.decision_id)
    except StoreError:  # which is 503 to whoever gave it
        refused += 1
print("refused", refused)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
late = make_decision(1000)
store.append([late], [make_outcome(late)])
store.add_feedback(make_feedback(late))
print("acknowledged", late.decision_id)
store.close()
"""


def test_a_file_that_may_not_grow_loses_nothing_acknowledged_and_goes_on_with_space(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(file)],
        cwd=PROJECT,
        env={**clean_environment(), "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = [line.split() for line in done.stdout.splitlines()]
    acknowledged = [name for kind, name in said if kind == "acknowledged"]
    assert [int(number) for kind, number in said if kind == "refused"] > [0]
    store = SQLiteStore(file)
    assert {event.decision_id for event in store.events(0)} == set(acknowledged)
    store.close()
