"""A day is read in parts: together they hold every row once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq

from router_backend.archive.place import open_place
from router_backend.archive.reading import tables
from router_backend.archive.writer import write
from router_backend.core.ids import new_decision_id
from router_backend.core.records import Outcome
from tests.state.examples import make_decision

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC).timestamp()


def test_every_id_of_a_day_is_in_one_part(tmp_path: Path) -> None:
    place = open_place("archive", tmp_path)
    times = [NOON + 3600 * hour for hour in range(-12, 12)]
    ids = [*map(new_decision_id, times), "named-by-somebody", "0"]  # not all are UUIDs
    write(place, [make_decision(decision_id=name, created=NOON) for name in ids], "log")
    with tables(place) as opened:
        (day,) = opened.days()
        opened.show(day, day)
        parts = [
            [row["decision_id"] for row in opened.query(_WITHIN, low=low, high=high)]
            for low, high in opened.ranges(day, rows=4)
        ]
    assert len(parts) == 7
    assert max(map(len, parts)) < 10
    assert sorted(name for part in parts for name in part) == sorted(ids)


_WITHIN = "SELECT decision_id FROM decisions WHERE decision_id >= $low AND decision_id < $high"


def test_columns_that_an_earlier_version_did_not_write_are_null(tmp_path: Path) -> None:
    place = open_place("archive", tmp_path)
    write(place, [Outcome(decision_id=new_decision_id(NOON), completed=NOON, served="a", status=200)], "log")
    with tables(place) as opened:
        (day,) = opened.days()
    (path,) = place.files("outcomes", day, day)
    with place.system.open_input_file(path) as file:
        older = pq.read_table(file).drop_columns(["cache_write_tokens"])
    with place.system.open_output_stream(path) as out:
        pq.write_table(older, out)
    with tables(place) as opened:
        opened.show(day, day)
        assert opened.query("SELECT status, cache_write_tokens FROM outcomes") == [
            {"status": 200, "cache_write_tokens": None}
        ]
        opened.query("SELECT * FROM decisions")
