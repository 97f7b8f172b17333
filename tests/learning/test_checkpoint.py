"""A start from a checkpoint and the rest of the log knows what a start from the whole log knows."""

from __future__ import annotations

import hashlib
import io
import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from router_backend.bandits.context import CONTEXT_DIM
from router_backend.bandits.query import Query
from router_backend.classifier.space_map import SpaceMap
from router_backend.config import RouterConfig, parse_config
from router_backend.contract import EMBEDDING_DIM
from router_backend.core.ids import new_decision_id
from router_backend.core.records import LearningEvent, Usage
from router_backend.learning.checkpoint import Checkpoint, CheckpointError
from router_backend.learning.fold import Fold
from router_backend.learning.learner import Learner
from router_backend.routing.view import View
from router_backend.state.open import open_store
from router_backend.state.redis.store import RedisStore
from router_backend.state.sqlite.migrations import STEPS
from router_backend.state.sqlite.store import SQLiteStore
from router_backend.state.store import Store
from router_backend.state.transfer import export_state, import_state
from tests.state.examples import ARMS, make_decision, make_feedback, make_outcome
from tests.support.redis_server import RedisServer

SPACE, OLD_SPACE = 7, 6
# One of each kind of statistics, with discounts and without, one that looks for changes and finds them.
POLICIES = """
policy: {name: linucb, components: 32, change: {false_alarm: 0.9}, reward: {name: difference, lambda: 0.2}}
experiments: [{name: fading, share: 0.2, policy: {name: lints, components: 64, discount_per_day: 0.9, change: {false_alarm: 0}}}]
shadows:
  - {name: means, policy: {name: ucb1, discount_per_day: 0.5}}
  - {name: drawn, policy: {name: thompson, change: {false_alarm: 0.9}}}
  - {name: table, policy: {name: task}}
"""


def config_of(*arms: str, extra: str = POLICIES, price: str = "input: 1, output: 2") -> RouterConfig:
    models = "\n".join(
        f"  - {{name: {arm}, upstream: {{kind: local}}, price: {{{price}}}, context_window: 8192}}" for arm in arms
    )
    return parse_config(f"version: 1\nmodels:\n{models}\ndefault_model: {arms[0]}\n{extra}")


CONFIG = config_of(*ARMS)
_rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(EMBEDDING_DIM, EMBEDDING_DIM)))
CARRY = SpaceMap.checked(OLD_SPACE, SPACE, _rotation.astype(np.float32), np.zeros(EMBEDDING_DIM, np.float32))


def events_of(seed: int, number: int) -> list[LearningEvent]:
    """Observations in the order of a log: of two spaces and a removed arm, late ones among them, with a change in the middle."""
    rng = np.random.default_rng(seed)
    events = []
    for n in range(number):
        arm = (*ARMS, "removed")[rng.integers(4)]
        good = (arm == "small") == (n < number // 2)
        events.append(
            LearningEvent(
                sequence=n + 1,
                decision_id=new_decision_id(),
                arm=arm,
                at=1.7e9 + 3600.0 * n - float(rng.exponential(7200.0)),
                embedding_space=OLD_SPACE if rng.random() < 0.2 else SPACE,
                context=rng.normal(size=CONTEXT_DIM).astype(np.float32) / 4,
                task="math",
                quality=float(rng.random() < (0.95 if good else 0.05)),
                cost=float(rng.random() / 1000),
                output_tokens=int(rng.integers(1, 500)),
                usage=Usage(prompt=10, completion=20, reasoning=5 * (n % 4)) if rng.random() < 0.5 else None,
                source="judge" if n % 3 == 1 else "",
                judged={"judge": float(rng.random())} if n % 3 == 2 else {},
                revision="" if n % 4 else f"r{n // 200}",
            )
        )
    return events


def folded(events: Sequence[LearningEvent], fold: Fold | None = None) -> Fold:
    fold = fold or Fold(CONFIG, SPACE, CARRY)
    for start in range(0, len(events), 37):
        fold.fold(events[start : start + 37])
    return fold


def scores(view: View, name: str = "") -> list[float]:
    context = np.random.default_rng(99).normal(size=CONTEXT_DIM).astype(np.float32) / 4
    arms = len(view.config.names)
    query = Query(
        context=context, candidates=tuple(range(arms)), expected_cost=np.zeros(arms), prompt_cost=np.zeros(arms)
    )
    return [*view.policies[name].scores(query).values, *view.policies[name].scores(query).costs]


def assert_same(left: Fold, right: Fold) -> None:
    assert left.sequence == right.sequence
    one, other = left.checkpoint().fields, right.checkpoint().fields
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=1e-4, atol=1e-5, err_msg=name)  # maps are FP32
    for name in left.view().policies:
        assert scores(left.view(), name) == pytest.approx(scores(right.view(), name), rel=1e-4, abs=1e-6)


@settings(deadline=None, max_examples=20, derandomize=True)
@given(seed=st.integers(0, 1000), number=st.integers(0, 400), part=st.floats(0, 1))
@example(seed=210, number=357, part=0.200275379917644)  # pages of other sizes rounded what a map carried over otherwise
def test_a_checkpoint_and_the_rest_are_the_whole_log(seed: int, number: int, part: float) -> None:
    events = events_of(seed, number)
    cut = int(part * number)
    kept = folded(events[:cut]).checkpoint().encode()
    resumed = Fold(CONFIG, SPACE, CARRY)
    resumed.load(Checkpoint.decode(kept))
    assert_same(folded(events[cut:], resumed), folded(events))


def test_a_checkpoint_says_its_family_and_one_of_an_earlier_release_has_that_of_its_key() -> None:
    fold = folded(events_of(4, 20))
    checkpoint = fold.checkpoint()
    assert Checkpoint.decode(checkpoint.encode()).family == fold.family
    with np.load(io.BytesIO(checkpoint.encode()[37:])) as arrays:
        earlier = {name: arrays[name] for name in arrays.files if name != "family"}
    file = io.BytesIO()
    np.savez(file, **earlier)
    digest = hashlib.sha256(file.getvalue()).digest()
    assert Checkpoint.decode(checkpoint.encode()[:5] + digest + file.getvalue()).family == fold.family


def test_changes_that_were_found_are_kept() -> None:
    whole = folded(events_of(1, 400))
    found = whole.view().policies[""].changes["small"]
    assert found
    resumed = Fold(CONFIG, SPACE, CARRY)
    resumed.load(whole.checkpoint())
    assert resumed.view().policies[""].changes["small"] == found


def test_what_only_chooses_needs_no_new_learning() -> None:
    fold = folded(events_of(2, 100))
    bolder = POLICIES.replace("lambda: 0.2", "lambda: 0.7").replace(
        "false_alarm: 0.9}, r", "false_alarm: 0.9}, alpha: 2, r"
    )
    assert bolder != POLICIES
    other = Fold(config_of(*ARMS, extra=bolder), SPACE, CARRY)
    other.load(fold.checkpoint())
    assert other.sequence == 100


@pytest.mark.parametrize(
    "price", ["input: 3, output: 9", "input: 0.1, output: 0.5, reasoning: 4", "input: 0, output: 1"]
)
def test_another_price_needs_no_new_learning(price: str) -> None:
    """What was learned at one price is what would have been learned at the other, changes that were found included."""
    events, other = events_of(5, 400), config_of(*ARMS, price=price)
    resumed = Fold(other, SPACE, CARRY)
    resumed.load(folded(events[:300]).checkpoint())
    whole = folded(events, Fold(other, SPACE, CARRY))
    assert any(whole.view().policies[""].changes.values())
    assert_same(folded(events[300:], resumed), whole)
    assert scores(whole.view()) != pytest.approx(scores(folded(events).view()), rel=1e-2)
    reloaded = Fold(other, SPACE, CARRY)
    assert reloaded.adopt(folded(events))
    assert_same(reloaded, whole)
    assert reloaded.whole


@pytest.mark.parametrize(
    "other",
    [
        Fold(CONFIG, SPACE),
        Fold(CONFIG, SPACE + 1),
        Fold(config_of("small", "middle"), SPACE, CARRY),
        Fold(config_of(*ARMS, extra=POLICIES.replace("components: 32", "components: 64")), SPACE, CARRY),
        Fold(config_of(*ARMS, extra=POLICIES.replace("0.5}", "0.4}")), SPACE, CARRY),
    ],
    ids=["map", "space", "arms", "components", "discount"],
)
def test_what_was_learned_in_another_way_is_refused(other: Fold) -> None:
    with pytest.raises(CheckpointError, match="another configuration"):
        other.load(folded(events_of(3, 50)).checkpoint())


def test_what_another_policy_learned_isnt_taken_over() -> None:
    kept = folded(events_of(3, 50)).checkpoint()
    fold = Fold(config_of(*ARMS, extra=POLICIES.replace("components: 32", "components: 64")), SPACE, CARRY)
    fold.take_over(kept)
    assert fold.sequence == 50
    assert not fold.whole
    assert fold.view().main.counts.sum() == 0
    assert fold.view().policies["drawn"].counts.sum() > 0
    for stranger in (Fold(CONFIG, SPACE), Fold(CONFIG, SPACE + 1, CARRY)):
        with pytest.raises(CheckpointError, match="embedding space"):
            stranger.take_over(kept)
    with pytest.raises(CheckpointError, match="can't be taken over"):
        fold.take_over(replace(kept, fields={**kept.fields, "roster": np.frombuffer(b"[]", np.uint8)}))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.data())
def test_damage_is_noticed(data: st.DataObject) -> None:
    whole = folded(events_of(4, 20)).checkpoint().encode()
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    for broken in (damaged, whole[:at]):
        with pytest.raises(CheckpointError):
            Checkpoint.decode(broken)


# -- on real stores ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    server = RedisServer(tmp_path / "redis").start() if request.param == "redis" else None
    store = open_store(server.url if server else "sqlite:///state.db", tmp_path)
    yield store
    store.close()
    if server:
        server.kill()


def teach(store: Store, number: int, first: int = 0) -> None:
    decisions = [make_decision(first + n) for n in range(number)]
    store.append(decisions, [make_outcome(decision) for decision in decisions])
    store.add_feedback_many([make_feedback(d, score=(n % 5) / 4) for n, d in enumerate(decisions)])


@contextmanager
def running(store: Store, config: RouterConfig = CONFIG, events: int = 50) -> Iterator[Learner]:
    learner = Learner(store, config, SPACE, poll_seconds=0.01, checkpoint_events=events)
    learner.start()
    try:
        assert learner.wait_until_current(30)
        yield learner
    finally:
        learner.close()


def kept(store: Store) -> list[bytes]:
    return store.checkpoints(Fold(CONFIG, SPACE).key)


def until_kept(store: Store, number: int) -> None:
    deadline = time.monotonic() + 60
    while len(kept(store)) < number:
        assert time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.01)


def lose_the_log_so_far(store: Store, tmp_path: Path) -> None:
    """So that only a checkpoint knows of it."""
    if isinstance(store, RedisStore):
        store._client.raw.delete(store._client.key("events"))
    else:
        with sqlite3.connect(tmp_path / "state.db") as connection:
            connection.execute("DELETE FROM events")


def test_a_start_goes_on_from_the_checkpoint(store: Store, tmp_path: Path) -> None:
    teach(store, 120)
    with running(store) as learner:
        known = scores(learner.view(SPACE))
        until_kept(store, 1)
    lose_the_log_so_far(store, tmp_path)
    with running(store) as learner:
        assert learner.view(SPACE).sequence == 120
        assert scores(learner.view(SPACE)) == pytest.approx(known, rel=1e-4, abs=1e-6)


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    teach(store, 120)
    with running(store) as learner:
        known = scores(learner.view(SPACE))
        until_kept(store, 1)
    good = kept(store)[0]
    assert store.save_checkpoint(Fold(CONFIG, SPACE).key, store.log(), 121, good[:-1] + b"?")
    lose_the_log_so_far(store, tmp_path)
    with caplog.at_level(logging.WARNING), running(store) as learner:
        assert scores(learner.view(SPACE)) == pytest.approx(known, rel=1e-4, abs=1e-6)
    assert "passed over: it is damaged" in caplog.text


def test_a_reset_takes_what_was_learned_with_it(store: Store) -> None:
    """Also from routers that still know it: what they would keep is of a log that is gone."""
    teach(store, 120)
    with running(store) as learner:
        until_kept(store, 1)
        stale = learner._folds[SPACE].checkpoint()
    store.archive().clear()
    assert kept(store) == []
    assert not store.save_checkpoint(stale.key, stale.log, 10_000, replace(stale, sequence=10_000).encode())
    with running(store) as learner:
        assert sum(learner.view(SPACE).main.counts) == 0


def test_an_import_is_learned_from(store: Store, tmp_path: Path) -> None:
    teach(store, 120)
    with running(store) as learner:
        known = scores(learner.view(SPACE))
        until_kept(store, 1)
    export_state(store.archive(), tmp_path / "backup.jsonl")
    store.archive().clear()
    import_state(store.archive(), tmp_path / "backup.jsonl")
    with running(store) as learner:
        assert scores(learner.view(SPACE)) == pytest.approx(known, rel=1e-4, abs=1e-6)


def test_the_latest_two_are_kept_and_an_earlier_one_never_replaces_a_later(store: Store) -> None:
    log = store.log()
    assert store.save_checkpoint("k", log, 10, b"ten")
    assert store.save_checkpoint("k", log, 20, b"twenty")
    assert not store.save_checkpoint("k", log, 15, b"fifteen")
    assert store.save_checkpoint("k", log, 30, b"thirty")
    assert not store.save_checkpoint("k", "another", 40, b"forty")
    assert store.checkpoints("k") == [b"thirty", b"twenty"]
    assert store.checkpoints("other") == []


def test_one_at_a_time_holds_a_lease(store: Store) -> None:
    assert store.claim("lease", "a", 60)
    assert store.claim("lease", "a", 60)
    assert not store.claim("lease", "b", 60)
    assert store.claim("other", "b", 60)
    assert store.claim("brief", "a", 0.001)
    deadline = time.monotonic() + 20
    while not store.claim("brief", "b", 60):
        assert time.monotonic() < deadline, "a lease must end by itself"


def test_replicas_hold_the_same_whoever_wrote(store: Store, tmp_path: Path) -> None:
    teach(store, 60)
    with running(store) as first, running(store) as second:
        for n in range(1, 4):
            teach(store, 60, first=100 * n)
        until_kept(store, 1)
        deadline = time.monotonic() + 30
        while not first.view(SPACE).sequence == second.view(SPACE).sequence == 240:
            assert time.monotonic() < deadline, "the log isn't followed"
            time.sleep(0.01)
        known = scores(first.view(SPACE))
        assert scores(second.view(SPACE)) == pytest.approx(known, rel=1e-4, abs=1e-6)
    with running(store) as late:
        assert scores(late.view(SPACE)) == pytest.approx(known, rel=1e-4, abs=1e-6)


def test_a_file_of_the_release_before_gains_checkpoints(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "state.db") as connection:  # as version 5 left it
        for step in STEPS[:5]:
            connection.executescript(step)
        connection.execute("PRAGMA user_version = 5")
    store = SQLiteStore(tmp_path / "state.db")
    assert store.save_checkpoint("k", store.log(), 1, b"one")
    store.close()
