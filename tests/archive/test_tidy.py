"""Days that are over: few files, the same rows, and a report that reads one table."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from router_backend.archive import tidy as tidy_module
from router_backend.archive.answers import FOLDER, answers_file
from router_backend.archive.events import latest_log
from router_backend.archive.place import Place, open_place
from router_backend.archive.reading import day, tables
from router_backend.archive.schema import TABLES
from router_backend.archive.tidy import GRACE_SECONDS, QUIET_SECONDS, tidy
from router_backend.archive.writer import write
from router_backend.config import RouterConfig, load_config
from router_backend.core.ids import new_decision_id
from router_backend.core.records import Decision, KeptFeedback
from router_backend.observability.archived import build_archived
from router_backend.observability.report import Report
from router_backend.state.credit import credit, learning_event
from tests.state.examples import make_decision, make_feedback, make_outcome
from tests.support.configs import local_config

_ROOT = Path(__file__).parents[2]
NOON = time.time() // 86_400 * 86_400 - 43_200.0  # of yesterday
DAY = day(NOON)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return open_place("archive", tmp_path)


@pytest.fixture
def config(tmp_path: Path) -> RouterConfig:
    return load_config(local_config(tmp_path))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds to add to the clock."""
    ahead, now = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: now() + ahead[0])
    return ahead


def fill(place: Place, numbers: Iterable[int]) -> list[Decision]:
    """A group of files each, as an archiver writes them."""
    decisions = []
    for number in numbers:
        at = NOON + number
        decision = make_decision(number, decision_id=new_decision_id(at), created=at)
        outcome, feedback = make_outcome(decision, completed=at + 1), make_feedback(decision, 0.5, received=at + 2)
        result = credit(decision, outcome, feedback)
        event = learning_event(result, feedback)
        assert event is not None
        kept = KeptFeedback(feedback, result.arm, result.quality, result.cost)
        write(place, [decision, outcome, kept, replace(event, sequence=number + 1)], "log")
        decisions.append(decision)
    return decisions


def ids(place: Place, table: str) -> list[str]:
    with tables(place) as opened:
        opened.show()
        return [row["decision_id"] for row in opened.query(f"SELECT decision_id FROM {table} ORDER BY 1")]


def report(place: Place, config: RouterConfig, start: float = NOON - 3600, end: float = NOON + 3600) -> Report:
    with tables(place) as opened:
        return build_archived(opened, config, start, end)


def same(left: Any, right: Any) -> bool:
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(left, list):
        return all(map(same, left, right))
    return bool(left == pytest.approx(right))


def test_small_files_become_one_with_all_rows_once(place: Place, later: list[float]) -> None:
    decisions = fill(place, range(5))
    write(place, decisions[:2], "log")  # twice
    assert tidy(place, lambda: True) == 0  # it may still get more
    later[0] = QUIET_SECONDS + 1
    assert tidy(place, lambda: True) == 6 + 5 + 5 + 5
    assert len(place.files("decisions")) == 7  # readers may have them open
    later[0] += GRACE_SECONDS + 1
    assert tidy(place, lambda: True) == 0
    expected = sorted(decision.decision_id for decision in decisions)
    for table in TABLES:
        (file,) = place.files(table)
        assert ids(place, table) == expected
        assert pq.read_table(file).column("decision_id").to_pylist() == expected


def test_rows_come_back_as_they_were_written(place: Place, later: list[float]) -> None:
    fill(place, range(3))
    before = {table: pa.concat_tables(map(pq.read_table, place.files(table))) for table in TABLES}
    later[0] = QUIET_SECONDS + 1
    tidy(place, lambda: True)
    later[0] += GRACE_SECONDS + 1
    tidy(place, lambda: True)
    for table, rows in before.items():
        assert pq.read_table(place.files(table)[0]).equals(rows.sort_by("decision_id"))


def test_a_report_of_the_made_table_is_that_of_the_rows(place: Place, config: RouterConfig, later: list[float]) -> None:
    fill(place, range(20))
    write(place, [make_outcome(make_decision(99, decision_id=new_decision_id(NOON)), completed=NOON + 9)], "log")
    write(place, [make_decision(98, decision_id=new_decision_id(NOON), created=NOON)], "log")
    spans = [(NOON - 3600, NOON + 3600), (NOON + 3.5, NOON + 10), (NOON + 1000, NOON + 2000)]
    before = [report(place, config, *span) for span in spans]
    for ahead in (QUIET_SECONDS + 1, GRACE_SECONDS + 1):
        later[0] += ahead
        tidy(place, lambda: True)
    (made,) = place.files(FOLDER)
    assert made == answers_file(place, DAY)
    for table in ("decisions", "outcomes", "feedback"):
        for path in place.files(table):
            Path(path).write_bytes(b"not read")
    assert all(
        same(report(place, config, *span).plain(), told.plain()) for span, told in zip(spans, before, strict=True)
    )
    assert before[0].total.requests == 21
    assert before[0].unanswered == 1


def test_what_comes_late_is_in_the_report_at_once(place: Place, config: RouterConfig, later: list[float]) -> None:
    fill(place, range(3))
    for ahead in (QUIET_SECONDS + 1, GRACE_SECONDS + 1):
        later[0] += ahead
        tidy(place, lambda: True)
    old = place.files(FOLDER)
    fill(place, [7])
    assert report(place, config).total.requests == 4
    for ahead in (QUIET_SECONDS + 1, GRACE_SECONDS + 1):
        later[0] += ahead
        tidy(place, lambda: True)
    assert report(place, config).total.requests == 4
    assert len(place.files(FOLDER)) == 1
    assert place.files(FOLDER) != old


def test_a_file_with_columns_of_a_newer_release_is_left_alone(place: Place, later: list[float]) -> None:
    fill(place, range(2))
    path = place.files("decisions")[0]
    rows = pq.ParquetFile(path).read()
    pq.write_table(rows.append_column("newer", pa.array([1])), path)
    later[0] = QUIET_SECONDS + 1
    assert tidy(place, lambda: True) == 3 * 2
    assert len(place.files("decisions")) == 2


def test_rows_of_an_older_release_lack_columns(place: Place, later: list[float]) -> None:
    fill(place, range(2))
    path = place.files("outcomes")[0]
    pq.write_table(pq.ParquetFile(path).read().drop_columns(["fault"]), path)
    later[0] = QUIET_SECONDS + 1
    tidy(place, lambda: True)
    later[0] += GRACE_SECONDS + 1
    tidy(place, lambda: True)
    assert sorted(map(str, pq.read_table(place.files("outcomes")[0]).column("fault").to_pylist())) == ["", "None"]


def test_the_log_that_was_written_last_has_the_last_file(place: Place, later: list[float]) -> None:
    fill(place, range(3))
    fill(place, [7])
    later[0] = 60.0
    decision = make_decision(8, decision_id=new_decision_id(NOON + 86_400), created=NOON + 86_400)
    outcome, feedback = make_outcome(decision), make_feedback(decision)
    event = learning_event(credit(decision, outcome, feedback), feedback)
    assert event is not None
    write(place, [replace(event, sequence=9)], "another log")  # after a reset
    later[0] = QUIET_SECONDS + 61
    tidy(place, lambda: True)
    assert latest_log(place) == "another log"


def test_today_is_left_alone_and_who_lost_the_lease_stops(place: Place, later: list[float]) -> None:
    fill(place, range(2))
    later[0] = QUIET_SECONDS + 1
    assert tidy(place, lambda: False) == 0
    decision = make_decision(0, created=time.time())
    write(place, [decision], "log")
    write(place, [decision], "log")
    tidy(place, lambda: True)
    assert len(place.files("decisions", day(decision.created))) == 2


_TIDY = """
import sys
from pathlib import Path
from router_backend.archive import tidy
from router_backend.archive.place import open_place
tidy.QUIET_SECONDS = tidy.GRACE_SECONDS = -1.0
print("begins", flush=True)
while True:
    tidy.tidy(open_place("archive", Path(sys.argv[1])), lambda: True)
"""


def test_a_kill_at_any_moment_loses_nothing(
    place: Place, config: RouterConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, decisions = random.Random(3), []
    for round_ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", _TIDY, str(tmp_path)], stdout=subprocess.PIPE, cwd=_ROOT, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            decisions += fill(place, range(10 * round_, 10 * round_ + 10))
            time.sleep(draw.random())
            process.kill()
    for name in ("QUIET_SECONDS", "GRACE_SECONDS"):
        monkeypatch.setattr(tidy_module, name, -1.0)
    for _ in range(3):
        tidy(place, lambda: True)
    expected = sorted(decision.decision_id for decision in decisions)
    for table in TABLES:
        assert ids(place, table) == expected
    assert report(place, config).total.requests == len(expected)
