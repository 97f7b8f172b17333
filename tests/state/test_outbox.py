"""What an archive is given: everything that was written, in order, and again until it says that it has it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from router_backend.core.records import Decision, KeptFeedback, LearningEvent, Outcome
from router_backend.state.sqlite.store import SQLiteStore
from router_backend.state.store import Parcel, Store
from router_backend.state.transfer import export_state, import_state
from tests.state.examples import make_decision, make_feedback, make_outcome

DAY = 86_400.0


@pytest.fixture(params=["sqlite", "redis", "dynamodb"])
def store_url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    # As if every writer knew at once that there is an archiver.
    monkeypatch.setattr("router_backend.state.dynamodb.outbox.KNOWN_SECONDS", -1.0)
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def written(store: Store, *numbers: int, feedback: bool = True) -> list[Decision]:
    decisions = [make_decision(number) for number in numbers]
    store.append(decisions, [make_outcome(decision) for decision in decisions])
    if feedback:
        store.add_feedback_many([make_feedback(decision) for decision in decisions])
    return decisions


def ids(parcel: Parcel, kind: type) -> list[str]:
    return [
        record.feedback.decision_id if isinstance(record, KeptFeedback) else record.decision_id
        for record in parcel.records
        if isinstance(record, kind)
    ]


def all_of(store: Store, limit: int = 1000) -> list[Parcel]:
    """Everything, as an archive takes it."""
    parcels = []
    while (parcel := store.outbox().take(limit)).records:
        assert store.outbox().done(parcel)
        parcels.append(parcel)
    return parcels


def every(parcels: Sequence[Parcel], kind: type) -> list[str]:
    return [identity for parcel in parcels for identity in ids(parcel, kind)]


@pytest.mark.parametrize("kind", [Decision, Outcome, KeptFeedback, LearningEvent])
def test_all_that_is_written_is_given_once_and_in_order(store: Store, kind: type) -> None:
    all_of(store)  # an archive that is there from the beginning
    first = written(store, *range(5))
    before = all_of(store, limit=2)
    second = written(store, *range(5, 8))
    after = all_of(store, limit=2)
    assert every(before, kind) == [decision.decision_id for decision in first]
    assert every(after, kind) == [decision.decision_id for decision in second]


def test_an_archive_that_comes_later_is_given_what_was_there_before(store: Store) -> None:
    decisions = written(store, *range(5))
    parcels = all_of(store, limit=2)
    for kind in (Decision, Outcome, KeptFeedback, LearningEvent):
        assert sorted(every(parcels, kind)) == sorted(decision.decision_id for decision in decisions)


def test_what_was_taken_comes_again_until_it_is_done(store: Store) -> None:
    written(store, 0, 1)
    taken = store.outbox().take(10)
    assert ids(store.outbox().take(10), Decision) == ids(taken, Decision)
    assert store.outbox().done(taken)
    assert not store.outbox().take(10).records


def test_of_two_who_take_the_same_only_one_is_done(open_replica: Callable[[], Store]) -> None:
    one, other = open_replica(), open_replica()
    written(one, 0)
    late = one.outbox().take(10)
    written(one, 1)
    early = other.outbox().take(10)
    assert other.outbox().done(early)
    assert not one.outbox().done(late)
    written(one, 2)
    assert len(ids(one.outbox().take(10), Decision)) == 1


def test_feedback_is_given_when_it_is_final(store: Store) -> None:
    (decision,) = written(store, 0, feedback=False)
    store.add_feedback(make_feedback(decision, 0.2, implicit="retry", received=time.time() - 10))
    assert not every(all_of(store), KeptFeedback)
    store.settle(time.time(), time.time())
    (parcel,) = all_of(store)
    (kept,) = [record for record in parcel.records if isinstance(record, KeptFeedback)]
    assert (kept.quality, kept.pending, kept.feedback.implicit) == (0.2, "", "retry")
    assert ids(parcel, LearningEvent) == [decision.decision_id]


def test_the_events_name_their_log(store: Store) -> None:
    written(store, 0)
    assert store.outbox().take(10).log == store.log()


def test_a_copy_is_given_as_a_whole(store: Store, tmp_path: Path) -> None:
    written(store, 0, 1)
    all_of(store)
    export_state(store.archive(), tmp_path / "copy")
    store.archive().clear()
    import_state(store.archive(), tmp_path / "copy")
    parcels = all_of(store)
    assert [len(every(parcels, kind)) for kind in (Decision, Outcome, KeptFeedback, LearningEvent)] == [2, 2, 2, 2]


def test_old_records_stay_until_the_archive_has_them(sqlite_url: str, tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "state.db")
    old = make_decision(0, created=time.time() - 30 * DAY)
    store.append([old], [make_outcome(old)])
    assert store.prune(time.time() - 7 * DAY, done=True) == 0
    all_of(store)
    recent = written(store, 1)
    assert store.prune(time.time() - 7 * DAY, done=True) == 1
    assert store.decision(old.decision_id) is None
    assert every(all_of(store), Decision) == [recent[0].decision_id]


def test_a_table_that_was_emptied_overlooks_nothing_that_comes_then(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "state.db")
    written(store, 0, 1, 2)
    all_of(store)
    store.prune(time.time() + DAY)
    store.prune(time.time() + DAY, done=True)
    decisions = written(store, 3)
    assert every(all_of(store), Decision) == [decision.decision_id for decision in decisions]


def test_rows_that_were_numbered_afresh_come_again(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "state.db")
    written(store, *range(6))
    all_of(store)
    with store._database.transaction() as connection:
        connection.execute("DELETE FROM decisions WHERE rowid < 5")
        connection.execute("UPDATE decisions SET rowid = rowid - 4")  # as VACUUM does
    later = written(store, 6)
    given = every(all_of(store), Decision)
    assert later[0].decision_id in given


def test_how_far_the_archive_is_behind(store: Store) -> None:
    all_of(store)
    assert store.outbox().behind() == pytest.approx(0, abs=1)
    old = make_decision(0, created=time.time() - 500)
    store.append([old], [])
    written(store, 1)
    behind = store.outbox().behind()
    assert behind == pytest.approx(500, abs=60) or behind < 60  # by the record's own time, or by when it was written
    all_of(store)
    assert store.outbox().behind() == 0


def test_an_archive_that_nobody_writes_is_behind(store: Store) -> None:
    written(store, 0)
    assert store.outbox().behind() > 0
