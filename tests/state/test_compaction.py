"""The log is shortened behind the archive, all readers and their checkpoints, and nowhere else."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from router_backend.state.compaction import BATCH, KEY_SECONDS, READER_SECONDS, Reader
from router_backend.state.dynamodb.store import DynamoDBStore
from router_backend.state.redis.store import RedisStore
from router_backend.state.store import Store
from tests.state.examples import make_decision, make_feedback, make_outcome


@pytest.fixture(params=["sqlite", "redis", "dynamodb"])
def store_url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    # As if every writer knew at once that there is an archiver.
    monkeypatch.setattr("router_backend.state.dynamodb.outbox.KNOWN_SECONDS", -1.0)
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def teach(store: Store, number: int, first: int = 0) -> None:
    for start in range(0, number, 500):  # as gateways do
        decisions = [make_decision(first + n) for n in range(start, min(number, start + 500))]
        store.append(decisions, [make_outcome(decision) for decision in decisions])
        store.add_feedback_many([make_feedback(decision) for decision in decisions])


def archive_all(store: Store) -> None:
    while True:
        parcel = store.outbox().take(1000)
        assert store.outbox().done(parcel)
        if parcel.begins == parcel.ends:
            return


def reader(store: Store, sequence: int, key: str = "k", name: str = "one") -> Reader:
    return Reader(name, store.log(), sequence, key)


def checkpoints(store: Store, *sequences: int, key: str = "k") -> None:
    for sequence in sequences:
        assert store.save_checkpoint(key, store.log(), sequence, b"%d" % sequence)


def kept(store: Store) -> list[int]:
    return [event.sequence for event in store.events(0, 100_000)]


def long_ago(store: Store, tmp_path: Path, seconds: float) -> None:
    """As if all readers had been heard of so long ago."""
    if isinstance(store, RedisStore):
        key = store._client.key("readers")
        for name, value in store._client.raw.hgetall(key).items():  # type: ignore[union-attr]
            seen, _, rest = value.partition(b" ")
            store._client.raw.hset(key, name, b"%d %s" % (int(seen) - int(seconds), rest))
        return
    if isinstance(store, DynamoDBStore):
        for item in store._client.query("readers"):
            item["seen"] = {"N": str(float(item["seen"]["N"]) - seconds)}
            store._client.write_if({"Item": item}, "put_item")
        return
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("UPDATE readers SET seen = seen - ?", (seconds,))


def test_what_is_archived_read_and_in_the_older_checkpoint_goes(store: Store) -> None:
    teach(store, 10)
    archive_all(store)
    checkpoints(store, 6, 9)
    assert store.compaction().follow(reader(store, 10)) == 0
    assert store.compaction().compact(store.log()) == 6
    assert kept(store) == [7, 8, 9, 10]
    assert store.compaction().mark() == 6
    assert store.event_count() == 10
    assert store.compaction().follow(reader(store, 10)) == 6
    teach(store, 2, first=100)
    assert kept(store) == [7, 8, 9, 10, 11, 12]
    assert store.event_count() == 12


def several_steps(store: Store) -> int:
    """Events that aren't removed at once: of DynamoDB by requests of 25 pages, of up to 32 events."""
    return 100 if isinstance(store, DynamoDBStore) else 3 * BATCH


def test_events_are_counted_whatever_goes_meanwhile(open_replica: Callable[[], Store]) -> None:
    store, other = open_replica(), open_replica()
    number = several_steps(store)
    teach(store, number)
    archive_all(store)
    checkpoints(store, number - 2, number - 1)
    store.compaction().follow(reader(store, number))
    counted: set[int] = set()
    going = threading.Thread(target=lambda: other.compaction().compact(other.log()))
    going.start()
    while going.is_alive():
        counted.add(store.event_count())
    going.join()
    assert counted | {store.event_count()} == {number}
    assert kept(store) == [number - 1, number]


def test_without_an_archive_nothing_goes(store: Store) -> None:
    teach(store, 10)
    checkpoints(store, 6, 9)
    store.compaction().follow(reader(store, 10))
    assert store.compaction().compact(store.log()) == 0
    assert store.compaction().mark() == 0
    assert len(kept(store)) == 10


def test_what_the_archive_has_not_got_stays(store: Store) -> None:
    teach(store, 4)
    archive_all(store)
    teach(store, 6, first=100)
    checkpoints(store, 8, 9)
    store.compaction().follow(reader(store, 10))
    assert store.compaction().compact(store.log()) == 4


def test_the_slowest_reader_that_is_there_holds_its_events(store: Store, tmp_path: Path) -> None:
    teach(store, 10)
    archive_all(store)
    checkpoints(store, 8, 9)
    store.compaction().follow(reader(store, 3, name="slow"))
    store.compaction().follow(reader(store, 10))
    assert store.compaction().compact(store.log()) == 3
    long_ago(store, tmp_path, READER_SECONDS + 60)
    assert store.compaction().readers() == []
    assert store.compaction().compact(store.log()) == 0, "somebody must be there"
    here = reader(store, 10)
    store.compaction().follow(here)
    assert store.compaction().readers() == [here]
    assert store.compaction().compact(store.log()) == 5


def test_who_would_start_without_a_checkpoint_holds_all(store: Store) -> None:
    teach(store, 10)
    archive_all(store)
    checkpoints(store, 8, 9)
    store.compaction().follow(reader(store, 10))
    store.compaction().follow(reader(store, 10, key="other", name="two"))
    assert store.compaction().compact(store.log()) == 0
    checkpoints(store, 5, key="other")
    assert store.compaction().compact(store.log()) == 5


def test_who_never_starts_from_checkpoints_holds_its_position_alone(store: Store) -> None:
    teach(store, 10)
    archive_all(store)
    store.compaction().follow(reader(store, 7, key=""))
    assert store.compaction().compact(store.log()) == 7


def test_a_former_configuration_holds_its_events_for_a_day(store: Store, tmp_path: Path) -> None:
    teach(store, 10)
    archive_all(store)
    checkpoints(store, 2, 3, key="former")
    checkpoints(store, 8, 9)
    store.compaction().follow(reader(store, 5, key="former", name="gone"))
    long_ago(store, tmp_path, READER_SECONDS + 60)
    store.compaction().follow(reader(store, 10))
    assert store.compaction().compact(store.log()) == 2
    long_ago(store, tmp_path, KEY_SECONDS)
    store.compaction().follow(reader(store, 10))
    assert store.compaction().compact(store.log()) == 6


def test_a_reader_of_a_former_log_holds_nothing(store: Store) -> None:
    teach(store, 10)
    archive_all(store)
    checkpoints(store, 8, 9)
    store.compaction().follow(replace(reader(store, 1, name="old"), log="former"))
    store.compaction().follow(reader(store, 10))
    assert store.compaction().compact("former") == 0
    assert store.compaction().compact(store.log()) == 8


def test_more_than_one_step(store: Store) -> None:
    end = several_steps(store)
    teach(store, end)
    archive_all(store)
    checkpoints(store, end - 50, end)
    store.compaction().follow(reader(store, end))
    assert store.compaction().compact(store.log()) == end - 50
    assert kept(store) == list(range(end - 49, end + 1))


def test_a_log_that_was_reset_is_whole(open_replica: Callable[[], Store]) -> None:
    store = open_replica()
    teach(store, 10)
    archive_all(store)
    checkpoints(store, 8, 9)
    store.compaction().follow(reader(store, 10))
    store.compaction().compact(store.log())
    store.archive().clear()
    assert store.compaction().mark() == 0
    assert store.compaction().readers() == []
    assert store.event_count() == 0
    teach(store, 3)
    assert store.event_count() == 3
    assert store.compaction().compact(store.log()) == 0


def test_an_archiver_goes_on_behind_what_went(store: Store) -> None:
    teach(store, 10)
    archive_all(store)
    checkpoints(store, 9, 10)
    store.compaction().follow(reader(store, 10))
    store.compaction().compact(store.log())
    teach(store, 2, first=100)
    events = [record for record in store.outbox().take(100).records if type(record).__name__ == "LearningEvent"]
    assert [event.sequence for event in events] == [11, 12]  # type: ignore[union-attr]


def test_a_checkpoint_that_somebody_starts_from_does_not_age(store: Store, tmp_path: Path) -> None:
    checkpoints(store, 1)
    if isinstance(store, RedisStore):
        key = store._client.key("checkpoint", "k")
        store._client.raw.expire(key, 100)
        store.compaction().follow(reader(store, 1))
        assert int(store._client.raw.ttl(key)) > 86_400  # type: ignore[arg-type]
        return
    if isinstance(store, DynamoDBStore):
        for item in store._client.query("checkpoint#k"):
            item["expires"] = {"N": "100"}
            store._client.write_if({"Item": item}, "put_item")
        store.compaction().follow(reader(store, 1))
        kept_until = [float(item["expires"]["N"]) for item in store._client.query("checkpoint#k")]
        assert len(kept_until) == 2
        assert min(kept_until) > time.time() + 86_400
        return
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("UPDATE checkpoints SET written = 1")
    store.compaction().follow(reader(store, 1))
    checkpoints(store, 1, key="other")  # who writes removes what is old
    assert store.checkpoints("k") == [b"1"]
