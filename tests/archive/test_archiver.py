"""What the store was told, in the archive: all of it, once, and no text."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from router_backend.archive import archiver as archiver_module
from router_backend.archive.archiver import Archiver
from router_backend.archive.place import ArchiveError, Place, open_place
from router_backend.archive.schema import TABLES, schema
from router_backend.core.ids import new_decision_id
from router_backend.core.records import Decision
from router_backend.state.store import Store
from tests.state.examples import make_decision, make_feedback, make_outcome

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
NOON = (TODAY - timedelta(hours=12)).timestamp()  # of yesterday


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return open_place("archive", tmp_path)


def read(place: Place, table: str) -> pa.Table:
    """As any engine reads it: the folder, partitioned as Hive does."""
    found = ds.dataset(place.folder(table), filesystem=place.system, format="parquet", partitioning="hive")
    return found.to_table()


def told(store: Store, number: int, at: float) -> Decision:
    decision = make_decision(number, decision_id=new_decision_id(at), created=at)
    store.append([decision], [make_outcome(decision)])
    store.add_feedback(make_feedback(decision, 0.5, tags='{"note": "a secret"}'))
    return decision


def test_every_table_has_its_rows_by_the_day_of_the_decision(store: Store, place: Place) -> None:
    first = told(store, 0, NOON)
    late = make_decision(1, decision_id=new_decision_id(NOON - 86_400), created=NOON - 86_400)
    store.append([late], [make_outcome(late, completed=NOON)])
    assert Archiver(store, place).drain() == 6
    decisions, outcomes = read(place, "decisions").to_pylist(), read(place, "outcomes").to_pylist()
    days = {
        decision.decision_id: f"{TODAY - timedelta(days=back):%Y-%m-%d}" for decision, back in ((first, 1), (late, 2))
    }
    assert {row["decision_id"]: str(row["day"]) for row in decisions} == days
    assert {row["decision_id"]: str(row["day"]) for row in outcomes} == days
    (feedback,), (event,) = read(place, "feedback").to_pylist(), read(place, "events").to_pylist()
    assert (feedback["score"], feedback["arm"], feedback["credited_cost"]) == (0.5, "small", 0.0005)
    assert (event["sequence"], event["log"], event["prompt_tokens"]) == (1, store.log(), 10)
    assert event["at"] == datetime.fromtimestamp(NOON, UTC)
    assert np.array_equal(np.float32(event["context"]), first.context)


def test_the_columns_are_those_of_the_schema(store: Store, place: Place) -> None:
    told(store, 0, NOON)
    Archiver(store, place).drain()
    for table in TABLES:
        (file,) = place.files(table)
        with place.system.open_input_file(file) as opened:
            written = pq.read_schema(opened)
        assert (written.names, written.metadata) == (schema(table).names, schema(table).metadata)


def test_no_text_of_a_client_is_archived(store: Store, place: Place) -> None:
    told(store, 0, NOON)
    Archiver(store, place).drain()
    assert not [file for table in TABLES for file in place.files(table) if b"secret" in Path(file).read_bytes()]
    assert "tags" not in {column[0] for table in TABLES.values() for column in table}


def test_groups_follow_each_other_until_all_is_archived(store: Store, place: Place) -> None:
    decisions = [told(store, number, NOON) for number in range(7)]
    assert Archiver(store, place, group=2).drain() == 28
    assert Archiver(store, place).drain() == 0
    assert sorted(read(place, "events")["decision_id"].to_pylist()) == sorted(d.decision_id for d in decisions)


def test_what_could_not_be_written_is_written_later(
    store: Store, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(store, 0, NOON)

    def refused(*_: object) -> int:
        raise ArchiveError("no such bucket")

    archiver = Archiver(store, place)
    with monkeypatch.context() as patched:
        patched.setattr(archiver_module, "write", refused)
        with pytest.raises(ArchiveError):
            archiver.drain()
    assert place.days() == []
    assert archiver.drain() == 4


def test_one_of_several_works(store: Store, place: Place) -> None:
    one, other = Archiver(store, place), Archiver(store, place)
    told(store, 0, NOON)
    assert one.drain() == 4
    told(store, 1, NOON)
    assert other.drain() == 0
    assert one.drain() == 4


def test_a_last_group_is_written_when_it_is_stopped(store: Store, place: Place) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=Archiver(store, place).run, args=(stop, 3600.0))
    thread.start()
    decision = told(store, 0, NOON)
    stop.set()
    thread.join()
    assert Archiver(store, place).drain() == 0
    assert set(read(place, "decisions")["decision_id"].to_pylist()) == {decision.decision_id}


def test_an_address_that_nobody_knows_is_said(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="archive: s3://"):
        open_place("s3://bucket/path?region=eu-central-1&unheard_of=1", tmp_path)
