"""A log that was shortened teaches what the whole log would: by checkpoints, and by the archive where these don't serve."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from router_backend.archive.archiver import Archiver
from router_backend.archive.events import archived_events
from router_backend.archive.place import open_place
from router_backend.config import RouterConfig
from router_backend.core.records import LearningEvent
from router_backend.learning import learner as learner_module
from router_backend.learning.checkpoint import Checkpoint
from router_backend.learning.fold import Fold
from router_backend.learning.following import Following
from router_backend.learning.learner import Learner
from router_backend.learning.rebuild import IncompleteLog, Rebuilt, rebuild
from router_backend.learning.resume import followed, keep
from router_backend.state.open import open_store
from router_backend.state.store import Store
from tests.learning.test_checkpoint import (
    ARMS,
    CARRY,
    CONFIG,
    POLICIES,
    SPACE,
    assert_same,
    config_of,
    events_of,
    folded,
    scores,
)
from tests.state.test_compaction import long_ago
from tests.support.redis_server import RedisServer

ARCHIVED = config_of(*ARMS, extra=POLICIES + 'archive: "archive"\n')
OTHERWISE = config_of(
    *ARMS, price="input: 3, output: 2", extra=POLICIES.replace("0.5}", "0.4}") + 'archive: "archive"\n'
)


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.kill()


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def new_store(request: pytest.FixtureRequest) -> Callable[[Path], Store]:
    """Makes an empty store, whose archive lies beside it."""

    def make(folder: Path) -> Store:
        if request.param == "sqlite":
            return open_store("sqlite:///state.db", folder)
        server: RedisServer = request.getfixturevalue("redis_server")
        return open_store(f"{server.url}?prefix={{{uuid.uuid4().hex}}}", folder)

    return make


@pytest.fixture
def store(new_store: Callable[[Path], Store], tmp_path: Path) -> Iterator[Store]:
    made = new_store(tmp_path)
    yield made
    made.close()


def archive_all(store: Store, folder: Path, group: int = 1000) -> None:
    Archiver(store, open_place("archive", folder), group).drain()


def shorten(store: Store, fold: Fold, following: Following) -> None:
    """As a router does now and then: a checkpoint, and what lies behind the one before it goes."""
    following.follow(fold)
    keep(store, fold.checkpoint())
    following.compact(fold.log)


def read_on(store: Store, fold: Fold) -> Fold:
    while events := store.events(fold.sequence, 37):
        fold.fold(events)
    return fold


def started(store: Store, config: RouterConfig = ARCHIVED, following: Following | None = None) -> Fold:
    return read_on(store, followed(store, config, SPACE, CARRY, following or Following(store)))


# -- any cut -------------------------------------------------------------------------------------------------------------


Steps = list[tuple[int, bool, bool]]
"""Of each: how many events come, whether they are archived, and whether the log is shortened then."""
_ALL_GOES: Steps = [(90, True, True), (60, True, True)]


@settings(deadline=None, max_examples=5, derandomize=True)
@example(seed=1, steps=_ALL_GOES, group=40)
@given(
    seed=st.integers(0, 1000),
    steps=st.lists(st.tuples(st.integers(1, 90), st.booleans(), st.booleans()), min_size=2, max_size=6),
    group=st.integers(5, 200),
)
def test_checkpoint_and_rest_are_the_whole_log_whatever_left_it(
    new_store: Callable[[Path], Store], seed: int, steps: Steps, group: int
) -> None:
    events = events_of(seed, sum(number for number, _, _ in steps))
    with TemporaryDirectory() as name:
        folder = Path(name)
        store = new_store(folder)
        following, at = Following(store), 0
        fold = started(store, following=following)
        for number, archived, shortened in steps:
            store.archive().restore(events[at : at + number])
            at += number
            read_on(store, fold)
            if archived:
                archive_all(store, folder, group)
            if shortened:
                shorten(store, fold, following)
        mark = store.compaction().mark()
        assert mark == 90 or steps != _ALL_GOES
        assert store.events(0, 10_000) == [] or store.events(0, 1)[0].sequence == mark + 1
        assert store.event_count() == at
        assert_same(started(store), folded(events))
        found = rebuild(store, OTHERWISE, folder, SPACE, CARRY)
        assert found == Rebuilt(mark, 0, at - mark, at > 0)
        assert_same(started(store, OTHERWISE), folded(events, Fold(OTHERWISE, SPACE, CARRY)))
        store.close()


def test_the_archive_gives_a_log_in_order_and_once(store: Store, tmp_path: Path) -> None:
    events = [replace(event, at=event.at + 86_400 * (event.sequence % 3)) for event in events_of(1, 300)]
    store.archive().restore(events)
    archive_all(store, tmp_path, group=40)
    place = open_place("archive", tmp_path)
    first = place.files("events")[0]
    place.write(f"{Path(first).parent}/again.parquet", Path(first).read_bytes())  # as an archiver that was killed does
    found = [event for page in archived_events(place, store.log(), 250) for event in page]
    assert [event.sequence for event in found] == list(range(1, 251))
    for one, other in zip(found, events, strict=False):
        assert one.at == pytest.approx(other.at, abs=1e-5)
        assert np.array_equal(one.context, other.context)
        plain = {"at": 0.0, "context": other.context}
        assert replace(one, **plain) == replace(other, **plain)  # type: ignore[arg-type]
    assert not list(archived_events(place, "another", 250))


# -- routers -------------------------------------------------------------------------------------------------------------


@contextmanager
def running(store: Store, config: RouterConfig = ARCHIVED, checkpoint_events: int = 50) -> Iterator[Learner]:
    learner = Learner(store, config, SPACE, CARRY, poll_seconds=0.01, checkpoint_events=checkpoint_events)
    learner.start()
    try:
        assert learner.wait_until_current(60)
        yield learner
    finally:
        learner.close()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner_module, "_CHECKPOINT_SECONDS", 0.05)
    monkeypatch.setattr(learner_module, "_GAP_SECONDS", 0.1)
    monkeypatch.setattr("router_backend.learning.following._FOLLOW_SECONDS", 0.05)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def shortened_by(learner: Learner, store: Store, folder: Path, events: Sequence[LearningEvent]) -> None:
    """A router that runs shortens the log, whoever gives it its events."""
    for start in range(0, len(events), 100):
        store.archive().restore(events[start : start + 100])
        until(lambda: learner.view(SPACE).sequence == store.event_count(), "the log isn't followed")
        archive_all(store, folder)
    until(lambda: store.compaction().mark() > 0, "the log isn't shortened")


def test_routers_shorten_the_log_and_start_from_what_is_left(store: Store, tmp_path: Path, hurried: None) -> None:
    events = events_of(5, 400)
    with running(store) as learner:
        shortened_by(learner, store, tmp_path, events)
        known = scores(learner.view(SPACE))
    with running(store) as learner:
        assert scores(learner.view(SPACE)) == pytest.approx(known, rel=1e-4, abs=1e-6)
    assert known == pytest.approx(scores(folded(events).view()), rel=1e-4, abs=1e-6)


def test_without_an_archive_a_router_leaves_the_log_alone(store: Store, tmp_path: Path, hurried: None) -> None:
    with running(store, CONFIG) as learner:
        for start in range(0, 300, 100):
            store.archive().restore(events_of(5, 300)[start : start + 100])
            until(lambda: learner.view(SPACE).sequence == store.event_count(), "the log isn't followed")
            archive_all(store, tmp_path)  # there once was one
        until(lambda: len(store.checkpoints(Fold(CONFIG, SPACE, CARRY).key)) == 2, "no checkpoints")
    assert store.compaction().mark() == 0


def test_who_learns_otherwise_says_so_and_goes_on_when_it_is_rebuilt(
    store: Store, tmp_path: Path, hurried: None, caplog: pytest.LogCaptureFixture
) -> None:
    events = events_of(5, 400)
    with running(store) as learner:
        shortened_by(learner, store, tmp_path, events)
    mark = store.compaction().mark()
    with caplog.at_level(logging.WARNING), running(store, OTHERWISE) as learner:
        assert f"the first {mark} observations aren't learned from" in caplog.text
        assert "llm-router state rebuild" in caplog.text
        whole = folded(events, Fold(OTHERWISE, SPACE, CARRY)).view()
        known = learner.view(SPACE)
        assert scores(known) == pytest.approx(scores(whole), rel=1e-4, abs=1e-6)  # it learns as before
        assert known.policies["means"].counts.sum() < whole.policies["means"].counts.sum()
        assert rebuild(store, OTHERWISE, tmp_path, SPACE, CARRY).archived == mark
        until(
            lambda: scores(learner.view(SPACE), "means") == pytest.approx(scores(whole, "means"), rel=1e-4, abs=1e-6),
            "what was rebuilt isn't used",
        )
    assert caplog.text.count("aren't learned from") == 1


def test_other_models_keep_what_was_learned_of_those_that_stay(store: Store, tmp_path: Path, hurried: None) -> None:
    """At a start, with a log that was shortened: nothing of the past is read, and only the newcomer begins from nothing."""
    events = events_of(5, 400)
    key = Fold(ARCHIVED, SPACE, CARRY).key
    with running(store, checkpoint_events=1) as learner:
        shortened_by(learner, store, tmp_path, events)
        before = learner.view(SPACE)
        # Behind the checkpoint the removed model's events would be passed over, and so age nothing.
        until(lambda: Checkpoint.decode(store.checkpoints(key)[0]).sequence == store.event_count(), "no checkpoint")
    table = POLICIES.replace("{name: task}", "{name: task, table: {math: removed}}")
    others = config_of("middle", "removed", "small", extra=table + 'archive: "archive"\n')
    with running(store, others) as learner:
        now = learner.view(SPACE)
        for name in set(before.policies) - {"table"}:  # it learns nothing
            counts = dict(zip(ARMS, before.policies[name].counts, strict=True))
            found = dict(zip(others.names, now.policies[name].counts, strict=True))
            assert (found["small"], found["middle"]) == pytest.approx((counts["small"], counts["middle"]))
        assert now.main.changes["small"] == before.main.changes["small"]
        rebuild(store, others, tmp_path, SPACE, CARRY)
        whole = scores(folded(events, Fold(others, SPACE, CARRY)).view())
        until(lambda: scores(learner.view(SPACE)) == pytest.approx(whole, rel=1e-4, abs=1e-6), "it isn't learned")


def test_a_router_that_can_read_the_archive_needs_nobody(store: Store, tmp_path: Path, hurried: None) -> None:
    events = events_of(5, 400)
    with running(store) as learner:
        shortened_by(learner, store, tmp_path, events)
    whole = scores(folded(events, Fold(OTHERWISE, SPACE, CARRY)).view())
    learner = Learner(store, OTHERWISE, SPACE, CARRY, poll_seconds=0.01, state_dir=tmp_path)
    learner.start()
    try:
        until(lambda: scores(learner.view(SPACE)) == pytest.approx(whole, rel=1e-4, abs=1e-6), "it isn't learned")
    finally:
        learner.close()


def test_a_reload_that_learns_otherwise_keeps_what_is_known(store: Store, tmp_path: Path, hurried: None) -> None:
    events = events_of(5, 400)
    with running(store) as learner:
        shortened_by(learner, store, tmp_path, events)
        count = float(learner.view(SPACE).main.counts.sum())
        learner.reload(OTHERWISE)
        assert learner.wait_until_current(60)
        assert float(learner.view(SPACE).main.counts.sum()) == pytest.approx(count)
        rebuild(store, OTHERWISE, tmp_path, SPACE, CARRY)
        whole = scores(folded(events, Fold(OTHERWISE, SPACE, CARRY)).view())
        until(lambda: scores(learner.view(SPACE)) == pytest.approx(whole, rel=1e-4, abs=1e-6), "it isn't used")


def test_who_was_away_for_long_finds_the_gap(store: Store, tmp_path: Path) -> None:
    events = events_of(5, 400)
    store.archive().restore(events[:50])
    away = Learner(store, ARCHIVED, SPACE, CARRY)
    away._catch_up()
    long_ago(store, tmp_path, 3600)
    following = Following(store)
    other = started(store, following=following)
    store.archive().restore(events[50:300])
    archive_all(store, tmp_path)
    shorten(store, read_on(store, other), following)
    store.archive().restore(events[300:])
    shorten(store, read_on(store, other), following)
    assert store.compaction().mark() == 300
    away._catch_up()
    away._catch_up()
    assert scores(away.view(SPACE)) == pytest.approx(scores(folded(events).view()), rel=1e-4, abs=1e-6)


def test_an_archive_that_is_named_no_more_is_asked_for(store: Store, tmp_path: Path) -> None:
    store.archive().restore(events_of(5, 100))
    archive_all(store, tmp_path)
    following = Following(store)
    shorten(store, started(store, following=following), following)
    assert store.compaction().mark() == 100
    with pytest.raises(IncompleteLog, match="name it in"):
        rebuild(store, CONFIG, tmp_path, SPACE, CARRY)


def test_what_an_archive_lost_is_counted(store: Store, tmp_path: Path) -> None:
    store.archive().restore(events_of(5, 100))
    archive_all(store, tmp_path)
    following = Following(store)
    shorten(store, started(store, following=following), following)
    for path in open_place("archive", tmp_path).files("events")[:1]:
        Path(path).unlink()
    found = rebuild(store, OTHERWISE, tmp_path, SPACE, CARRY)
    assert found.archived + found.missing == 100
    assert found.missing > 0
