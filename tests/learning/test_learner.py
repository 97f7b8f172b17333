"""The learner on a real store and with the real policies."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from router_backend.bandits.context import CONTEXT_DIM
from router_backend.bandits.query import Query
from router_backend.classifier.space_map import SpaceMap
from router_backend.config import RouterConfig, parse_config
from router_backend.contract import EMBEDDING_DIM
from router_backend.learning.learner import Learner, next_pause
from router_backend.routing.view import View
from router_backend.state.redis.store import RedisStore
from router_backend.state.sqlite.store import SQLiteStore
from router_backend.state.store import Store
from tests.state.examples import make_decision, make_feedback, make_outcome
from tests.support.redis_server import RedisServer

SPACE = 7  # of `make_decision`


def config_of(*arms: str, extra: str = "") -> RouterConfig:
    models = "\n".join(
        f"  - {{name: {arm}, upstream: {{kind: local}}, price: {{input: 1, output: 2}}, context_window: 8192}}"
        for arm in arms
    )
    return parse_config(f"version: 1\nmodels:\n{models}\ndefault_model: {arms[0]}\n{extra}")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "state.db", busy_seconds=0.1)
    yield store
    store.close()


def teach(store: Store, number: int, first: int = 0, **changes: object) -> None:
    decisions = [make_decision(first + n, **changes) for n in range(number)]
    store.append(decisions, [make_outcome(decision) for decision in decisions])
    store.add_feedback_many([make_feedback(d, score=(n % 5) / 4) for n, d in enumerate(decisions)])


@contextmanager
def running(store: Store, config: RouterConfig, **options: object) -> Iterator[Learner]:
    learner = Learner(store, config, SPACE, poll_seconds=0.01, **options)  # type: ignore[arg-type]
    learner.start()
    try:
        assert learner.wait_until_current(20)
        yield learner
    finally:
        learner.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def scores(view: View, name: str = "", seed: int = 99) -> list[float]:
    """What a policy thinks of one fixed prompt: equal statistics give equal scores."""
    context = np.random.default_rng(seed).normal(size=CONTEXT_DIM).astype(np.float32)
    arms = len(view.config.names)
    query = Query(context=context, candidates=tuple(range(arms)), expected_cost=np.zeros(arms), task="math")
    return view.policies[name].scores(query).values


def test_starting_reads_the_whole_log(store: SQLiteStore) -> None:
    teach(store, 300)
    with running(store, config_of("small", "middle", "large")) as learner:
        view = learner.view(SPACE)
        assert view.sequence == 300
        assert list(view.main.counts) == pytest.approx([100, 100, 100])
        assert view.costs.lengths.means[0].min() < 256  # answers of 20 tokens


def test_new_feedback_arrives_in_a_new_view_and_old_views_stay_as_they_are(store: SQLiteStore) -> None:
    with running(store, config_of("small", "middle", "large")) as learner:
        before = learner.view(SPACE)
        known = scores(before)
        teach(store, 30)
        until(lambda: learner.view(SPACE).sequence == 30)
        assert scores(learner.view(SPACE)) != known
        assert scores(before) == known


def test_a_learner_that_followed_along_knows_what_one_that_started_later_knows(store: SQLiteStore) -> None:
    config = config_of("small", "middle", "large")
    with running(store, config) as early:
        for number in range(8):
            teach(store, 40, first=40 * number)
            until(lambda: early.view(SPACE).sequence == store.events(0, 10_000)[-1].sequence)
        with running(store, config) as late:
            assert scores(early.view(SPACE)) == pytest.approx(scores(late.view(SPACE)), abs=1e-9)


def test_routing_goes_on_while_the_store_is_down_and_learning_resumes(store: SQLiteStore, tmp_path: Path) -> None:
    polls: list[bool] = []
    teach(store, 30)
    with running(store, config_of("small", "middle", "large"), on_poll=polls.append) as learner:
        known = scores(learner.view(SPACE))
        # A table that is gone makes each read fail, as a damaged or vanished file would.
        other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
        other.execute("ALTER TABLE events RENAME TO gone")
        until(lambda: polls[-1:] == [False])
        assert scores(learner.view(SPACE)) == known
        other.execute("ALTER TABLE gone RENAME TO events")
        other.close()
        teach(store, 30, first=30)
        until(lambda: learner.view(SPACE).sequence == 60)


def test_a_partition_from_redis_stops_learning_not_routing(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis").start()
    shared = RedisStore(server.url, timeout=0.5)
    polls: list[bool] = []
    try:
        teach(shared, 30)
        with running(shared, config_of("small", "middle", "large"), on_poll=polls.append) as learner:
            known = scores(learner.view(SPACE))
            server.pause()
            until(lambda: polls[-1:] == [False])
            assert scores(learner.view(SPACE)) == known
            learner.reload(config_of("small", "large"))
            assert learner.view(SPACE).config.names == ("small", "large")
            server.resume()
            teach(shared, 30, first=30)
            until(lambda: learner.view(SPACE).sequence == 60)
            assert list(learner.view(SPACE).main.counts) == pytest.approx([20, 20])
    finally:
        shared.close()
        server.kill()


def test_a_reload_keeps_what_kept_arms_know_and_adds_new_ones(store: SQLiteStore) -> None:
    teach(store, 300)
    with running(store, config_of("small", "middle", "large")) as learner:
        known = scores(learner.view(SPACE))
        learner.reload(config_of("large", "new", "small"))
        view = learner.view(SPACE)  # at once, without waiting for the log
        assert view.config.names == ("large", "new", "small")
        assert [scores(view)[0], scores(view)[2]] == pytest.approx([known[2], known[0]])
        assert list(view.main.counts) == pytest.approx([100, 0, 100])
        assert learner.wait_until_current(20)
        teach(store, 3, first=1000)
        until(lambda: learner.view(SPACE).sequence == 303)
        assert list(learner.view(SPACE).main.counts) == pytest.approx([101, 0, 101])


def test_a_new_price_counts_for_answers_of_the_past(store: SQLiteStore) -> None:
    """What answers cost is learned; their tokens are what is kept of them."""
    teach(store, 300)
    query = Query(
        context=store.events(0)[0].context,
        candidates=(0, 1),
        expected_cost=np.zeros(2),
        prompt_cost=np.zeros(2),
    )
    with running(store, config_of("small", "middle")) as learner:
        before = learner.view(SPACE).main.scores(query).costs
        models = config_of("small", "middle").model_dump(mode="json")
        models["models"][0]["price"]["output"] = 4
        learner.reload(RouterConfig.model_validate(models))
        assert learner.wait_until_current(20)
        after = learner.view(SPACE).main.scores(query).costs
    assert after == pytest.approx([2 * before[0], before[1]])
    assert before[0] > 1e-5


def test_an_arm_that_comes_back_knows_what_it_knew(store: SQLiteStore) -> None:
    teach(store, 300)
    both = config_of("small", "middle", "large")
    with running(store, both) as learner:
        known = scores(learner.view(SPACE))
        learner.reload(config_of("small", "large"))
        learner.reload(both)
        assert learner.wait_until_current(20)
        assert scores(learner.view(SPACE)) == pytest.approx(known)


def test_experiments_and_shadows_learn_too(store: SQLiteStore) -> None:
    teach(store, 30)
    extra = (
        "experiments: [{name: careful, share: 0.5, policy: {name: linucb, components: 32}}]\n"
        "shadows: [{name: bold, policy: {name: linucb, alpha: 2}}]\n"
    )
    with running(store, config_of("small", "middle", "large", extra=extra)) as learner:
        view = learner.view(SPACE)
        assert set(view.policies) == {"", "linucb", "careful", "bold"}
        assert {tuple(policy.counts) for policy in view.policies.values()} == {(10.0, 10.0, 10.0)}


def test_embedding_spaces_are_kept_apart(store: SQLiteStore) -> None:
    teach(store, 30)
    teach(store, 6, embedding_space=8)
    with running(store, config_of("small", "middle", "large")) as learner:
        assert sum(learner.view(SPACE).main.counts) == 30
        assert sum(learner.view(8).main.counts) == 0  # the priors, until the log has been read for it
        until(lambda: sum(learner.view(8).main.counts) == 6)
        assert sum(learner.view(SPACE).main.counts) == 30


def test_a_map_carries_old_embeddings_over(store: SQLiteStore) -> None:
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(EMBEDDING_DIM, EMBEDDING_DIM)))
    carry = SpaceMap.checked(6, SPACE, rotation.astype(np.float32), np.zeros(EMBEDDING_DIM, np.float32))
    config = config_of("small", "middle", "large")
    decisions = [make_decision(number, embedding_space=6) for number in range(60)]
    store.append(decisions, [make_outcome(decision) for decision in decisions])
    store.add_feedback_many([make_feedback(decision) for decision in decisions])
    with running(store, config, space_map=carry) as learner:
        carried = scores(learner.view(SPACE))
        assert sum(learner.view(SPACE).main.counts) == 60
    mapped = [carry.apply(decision.context[None])[0] for decision in decisions]
    again = [
        make_decision(number, context=context, created=decision.created)
        for number, (decision, context) in enumerate(zip(decisions, mapped, strict=True))
    ]
    store.append(again, [make_outcome(decision) for decision in again])
    store.add_feedback_many([make_feedback(decision) for decision in again])
    with running(store, config) as learner:
        assert scores(learner.view(SPACE)) == pytest.approx(carried, abs=1e-6)


def test_implicit_feedback_is_settled_after_its_grace(store: SQLiteStore) -> None:
    decision = make_decision(0)
    store.append([decision], [make_outcome(decision)])
    store.add_feedback(make_feedback(decision, 0.0, implicit="truncated", received=time.time() - 10))
    config = config_of("small", "middle", "large", extra="implicit: {truncated: 0.0, grace_seconds: 5}")
    with running(store, config) as learner:
        until(lambda: learner.view(SPACE).sequence == 1)


def test_decisions_past_their_retention_are_removed(store: SQLiteStore) -> None:
    old = make_decision(0, created=time.time() - 3 * 86_400)
    store.append([old], [])
    with running(store, config_of("small", "middle", "large", extra="retention_days: 2")):
        until(lambda: store.decision(old.decision_id) is None)


def test_where_looks_are_paid_it_looks_rarely_while_nothing_comes() -> None:
    pauses = [0.05]
    for found in (False, False, False, False, False, False, True, False):
        pauses.append(next_pause(pauses[-1], found, 0.05, 1.0))
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 0.05, 0.1]
    assert next_pause(0.05, False, 0.05, 0.05) == 0.05  # a file
