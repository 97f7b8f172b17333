"""Replicas that read one store hold the same statistics, whatever the interleaving of writers and readers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router_backend.config import RouterConfig, parse_config
from router_backend.core.records import Decision, Feedback
from router_backend.learning.fold import Fold
from router_backend.state.open import open_store
from router_backend.state.store import Store
from tests.state.examples import ARMS, make_decision, make_outcome

REPLICAS = 3
DECISIONS = 12
SPACE = 7


def config() -> RouterConfig:
    models = "".join(
        f"  - {{name: {arm}, upstream: {{kind: local}}, price: {{input: 1, output: 2}}, context_window: 8192}}\n"
        for arm in ARMS
    )
    policy = "policy: {name: linucb, components: 32, discount_per_day: 0.9}\n"
    return parse_config(f"version: 1\nmodels:\n{models}default_model: small\n{policy}")


CONFIG = config()

# A replica gives feedback (perhaps an implicit signal), settles what is pending, or reads a page of the log.
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("feedback"),
            st.integers(0, REPLICAS - 1),
            st.integers(0, DECISIONS - 1),
            st.sampled_from([0.0, 0.5, 1.0]),
            st.sampled_from(["", "", "truncated"]),
        ),
        st.tuples(st.just("settle"), st.integers(0, REPLICAS - 1)),
        st.tuples(st.just("read"), st.integers(0, REPLICAS - 1), st.integers(1, 5)),
    ),
    max_size=40,
)


@pytest.fixture
def fresh_urls(store_url: str) -> Iterator[str]:
    """A new, empty store for each example."""
    if store_url.startswith("sqlite"):
        return (f"sqlite:///{uuid.uuid4().hex}.db" for _ in iter(int, 1))
    if store_url.startswith("dynamodb"):
        return (f"dynamodb://{uuid.uuid4().hex}?{store_url.partition('?')[2]}" for _ in iter(int, 1))
    base = store_url.partition("?")[0]
    return (f"{base}?prefix={{{uuid.uuid4().hex}}}" for _ in iter(int, 1))


def read(store: Store, fold: Fold, limit: int) -> bool:
    events = store.events(fold.sequence, limit)
    fold.fold(events)
    return bool(events)


def act(step: tuple, stores: list[Store], folds: list[Fold], decisions: list[Decision]) -> None:  # type: ignore[type-arg]
    kind, replica, *rest = step
    if kind == "feedback":
        number, score, implicit = rest
        decision = decisions[number]
        stores[replica].add_feedback(
            Feedback(decision_id=decision.decision_id, received=time.time(), score=score, implicit=implicit)
        )
    elif kind == "settle":
        stores[replica].settle(time.time() + 1, time.time() + 1)
    else:
        read(stores[replica], folds[replica], rest[0])


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=steps)
def test_replicas_agree_after_any_interleaving(steps: list[tuple], fresh_urls: Iterator[str], tmp_path: Path) -> None:  # type: ignore[type-arg]
    url = next(fresh_urls)
    stores = [open_store(url, tmp_path) for _ in range(REPLICAS)]
    folds = [Fold(CONFIG, SPACE) for _ in range(REPLICAS)]
    now = time.time()
    decisions = [make_decision(number, created=now - 40_000 * number) for number in range(DECISIONS)]
    stores[0].append(decisions, [make_outcome(decision) for decision in decisions[::2]])  # half are in flight
    for step in steps:
        act(step, stores, folds, decisions)

    judged = {step[2] for step in steps if step[0] == "feedback"}
    stores[0].settle(time.time() + 1, time.time() + 1)
    for store, fold in zip(stores, folds, strict=True):
        while read(store, fold, 5):
            pass
    log = stores[0].events(0)
    assert sorted(event.decision_id for event in log) == sorted(decisions[number].decision_id for number in judged)
    assert {fold.sequence for fold in folds} == {len(log)}
    at_once = Fold(CONFIG, SPACE)
    at_once.fold(log)
    expected = statistics(at_once)
    for fold in folds:
        np.testing.assert_allclose(statistics(fold), expected, rtol=1e-9, atol=1e-12)
    for store in stores:
        store.close()


def statistics(fold: Fold) -> np.ndarray:  # type: ignore[type-arg]
    """Every number that a view decides by: A⁻¹ and both θ of each arm, the counts, the weight of learned costs, the lengths."""
    view = fold.view()
    regressions = view.main._read  # type: ignore[attr-defined]
    blocks = np.concatenate([np.ravel(block) for block in regressions._blocks])
    return np.concatenate([blocks, np.asarray(view.main.counts), regressions.trust, view.costs.lengths.means.ravel()])
