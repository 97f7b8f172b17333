"""What every policy promises: snapshots stay, versions tell, reloads keep what was learned."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from router_backend.bandits.context import CONTEXT_DIM
from router_backend.bandits.factory import POLICIES, build_policy
from router_backend.bandits.policies.linear import LinearPolicy
from router_backend.bandits.policy import Policy
from router_backend.bandits.selection import probabilities, select
from router_backend.bandits.statistics.prior import Prior, PriorError
from router_backend.config import load_config
from router_backend.config.policy import LinUCBPolicyConfig, policy_config
from router_backend.config.runtime import LOCAL_PROFILE
from tests.bandits.examples import DAY, NOW, make_context, make_models, make_policy, make_query, teach

NAMES = sorted(POLICIES)
LEARNERS = ["linucb", "lints", "binary", "ucb1", "thompson", "epsilon_greedy"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("candidates", [(0, 1, 2), (0, 2)])
def test_a_snapshot_never_changes(name: str, candidates: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    policy = make_policy(name, discount_per_day=0.9)
    teach(policy, rng, 20)
    query = make_query(make_context(rng), candidates, task="math", complexity=0.4)
    snapshot = policy.snapshot()
    scores, counts, drawn = (
        snapshot.scores(query),
        list(snapshot.counts),
        snapshot.draw(query, np.random.default_rng(3), 5),
    )
    teach(policy, rng, 30)
    assert snapshot.scores(query) == scores
    teach(policy, rng, 300, at=NOW + 30 * DAY)
    assert snapshot.scores(query) == scores
    assert list(snapshot.counts) == counts
    np.testing.assert_array_equal(snapshot.draw(query, np.random.default_rng(3), 5), drawn)
    assert list(policy.counts) != counts


def test_readers_never_see_a_half_written_update() -> None:
    """Cost is always twice the quality, so in every whole state the estimate of one is twice that of the other."""
    rng = np.random.default_rng(0)
    nothing = np.zeros((1, 3))
    # A prior that gives both the mean 0: else costs are drawn to their own mean.
    prior = Prior.fit(("m0", "m1", "m2"), np.zeros((1, CONTEXT_DIM), np.float32), nothing, nothing, 1.0)
    policy = make_policy("linucb", components=128, prior=prior)
    assert isinstance(policy, LinearPolicy)
    contexts = [make_context(rng) for _ in range(64)]
    box = [policy.snapshot()]
    done = threading.Event()

    def learn() -> None:
        for i in range(6000):
            quality = (i % 11) / 10
            policy.update(contexts[i % 64], i % 3, quality, 2 * quality, NOW)
            if i % 7 == 0:
                box[0] = policy.snapshot()
        done.set()

    thread = threading.Thread(target=learn)
    thread.start()
    query = make_query(contexts[0], (0, 1), costs=(np.nan,) * 3)  # a part of the arms: their own blocks are read
    torn = 0
    while not done.is_set():
        reader = box[0]
        first = reader.estimates(query)
        torn += first != reader.estimates(query)
        torn += any(abs(max(2 * q, 0) - c) > 1e-6 for q, _, c in zip(*first, strict=True))
    thread.join()
    assert torn == 0


@pytest.mark.parametrize("name", LEARNERS)
def test_a_reload_keeps_what_was_learned_of_the_arms_that_stay(name: str) -> None:
    rng = np.random.default_rng(0)
    before = make_policy(name, make_models(1, 2, 3), discount_per_day=0.9)
    teach(before, rng, 60)
    models = make_models(1, 2, 3)
    # m1 is removed, a new arm comes first, the order changes.
    changed = [make_models(1, 2, 3, 4)[3], models[2], models[0]]
    after = make_policy(name, changed, discount_per_day=0.9, alpha=0.7)
    assert after.adopt(before)
    context = make_context(rng)
    old = before.qualities(make_query(context))
    new = after.qualities(make_query(context))
    np.testing.assert_allclose([new[2], new[1]], [old[0], old[2]])
    assert after.counts[0] == 0
    # It goes on learning with the same discount as if nothing had happened.
    for policy, arm in ((before, 0), (after, 2)):
        policy.update(context, arm, 1.0, 0.1, NOW + 3 * DAY)
    assert after.qualities(make_query(context))[2] == pytest.approx(before.qualities(make_query(context))[0])


def test_statistics_that_do_not_fit_are_refused() -> None:
    policy = make_policy("linucb")
    assert not policy.adopt(make_policy("ucb1"))
    assert not policy.adopt(make_policy("linucb", components=64))
    assert not policy.adopt(make_policy("linucb", discount_per_day=0.5))


def test_a_reload_keeps_the_price_that_a_budget_has_found() -> None:
    reward = {"name": "budget", "usd_per_1000": 1.0, "lambda": 0.5}
    before, after = make_policy("linucb", reward=reward), make_policy("linucb", reward=reward)
    for _ in range(50):
        select(before.snapshot(), make_query(), np.random.default_rng(0))
    after.adopt(before)
    query = make_query()
    assert after.scores(query).means == before.scores(query).means
    assert after.scores(query).means != make_policy("linucb", reward=reward).scores(query).means


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        ({"name": "linucb"}, "linucb-12dde50f"),
        ({"name": "ucb1", "alpha": 0.5}, "ucb1-edfc9d9d"),
        ({"name": "thompson", "discount_per_day": 0.9}, "thompson-122912bf"),
        ({"name": "binary", "strong": "llama3-70b", "threshold": 0.4}, "binary-1ef6e6ca"),
        ({"name": "fixed", "model": "llama3-70b"}, "fixed-c7f978b1"),
        ({"name": "linucb", "reward": {"name": "ratio"}}, "linucb-ba342bd2"),
        ({"name": "linucb", "reward": {"name": "budget", "usd_per_1000": 0.5}}, "linucb-e80dd115"),
        ({"name": "linucb", "reward": {"name": "quality_floor", "floor": 0.7}}, "linucb-dfc8a027"),
    ],
)
def test_a_policy_keeps_the_version_that_old_logs_know_it_by(fields: dict[str, Any], version: str) -> None:
    models = load_config(LOCAL_PROFILE).models
    assert build_policy(policy_config(fields), models, default="llama3-8b").version == version


def test_the_version_tells_what_decides() -> None:
    assert make_policy().version == make_policy().version
    versions = {
        make_policy().version,
        make_policy(alpha=0.31).version,
        make_policy(models=make_models(1, 2)).version,
        make_policy(models=make_models(1, 2, 4)).version,
        make_policy(default="m2").version,
        make_policy("lints").version,
    }
    assert len(versions) == 6
    taught = make_policy()
    teach(taught, np.random.default_rng(0), 5)
    assert taught.version == make_policy().version


@pytest.mark.parametrize("name", NAMES)
def test_a_hundred_arms_work(name: str) -> None:
    rng = np.random.default_rng(0)
    policy = make_policy(name, make_models(*range(1, 101)))
    teach(policy, rng, 300, arms=100)
    query = make_query(make_context(rng), range(100), np.arange(1.0, 101.0) * 1e-4)
    choice = select(policy.snapshot(), query, rng)
    assert len(set(choice.ranking)) == 100
    assert probabilities(policy, query).sum() == pytest.approx(1.0)


def test_unknown_costs_are_those_learned() -> None:
    rng = np.random.default_rng(0)
    for name in ("linucb", "ucb1"):
        policy = make_policy(name)
        for _ in range(200):
            for arm in range(3):
                policy.update(make_context(rng), arm, 0.5, 1e-3 * (arm + 1), NOW)
        costs = policy.snapshot().scores(make_query(make_context(rng), costs=(np.nan, 5.0, np.nan))).costs
        np.testing.assert_allclose(costs, [1e-3, 5.0, 3e-3], rtol=0.05)


def test_expected_costs_go_from_the_list_price_to_what_answers_cost() -> None:
    """The first half of the contexts gets dear answers; where the estimate by task says nothing of it, evidence does."""
    rng = np.random.default_rng(0)
    policy = make_policy()
    dear, cheap = make_context(rng), make_context(rng)
    known = {"costs": (1e-3,) * 3, "prompt_cost": np.full(3, 2e-4)}

    def expected(context: NDArray[np.float32], candidates: Sequence[int] = (0, 1, 2)) -> list[float]:
        return policy.snapshot().scores(make_query(context, candidates, **known)).costs

    assert expected(dear) == expected(cheap) == [1e-3] * 3
    apart = []
    for _ in range(4):
        for _ in range(50):
            policy.update(dear, 1, 0.5, 4e-3, NOW)
            policy.update(cheap, 1, 0.5, 1e-4, NOW)
        apart.append(expected(dear)[1] - expected(cheap)[1])
    assert apart == sorted(apart)
    assert expected(dear)[1] == pytest.approx(4.2e-3, rel=0.15)
    assert expected(dear)[0] == 1e-3  # nothing was learned of it
    assert expected(dear, (1, 2)) == pytest.approx(expected(dear)[1:], rel=1e-6)
    np.testing.assert_allclose(policy.scores(make_query(dear, **known)).costs, expected(dear), rtol=1e-4)


def test_a_limit_of_the_answer_bounds_what_it_is_expected_to_cost() -> None:
    policy, context = make_policy(), make_context(np.random.default_rng(0))
    for _ in range(500):
        policy.update(context, 0, 0.5, 4e-3, NOW)
    query = make_query(context, costs=(3e-4,) * 3, prompt_cost=np.full(3, 2e-4), answer_limit=np.full(3, 1e-4))
    assert policy.snapshot().scores(query).costs[0] == pytest.approx(3e-4)


def _below_nothing(policy: Policy) -> NDArray[np.float32]:
    """A context at which a line through the costs of m0's answers has passed below nothing."""
    rng = np.random.default_rng(0)
    short, long = make_context(rng), make_context(rng)
    for _ in range(500):
        policy.update(short, 0, 0.5, 1e-6, NOW)
        policy.update(long, 0, 0.5, 4e-4, NOW)
    return 2 * short - long


@pytest.mark.parametrize("candidates", [(0, 1, 2), (0, 2)])
def test_no_cost_is_below_that_of_the_prompt(candidates: tuple[int, ...]) -> None:
    policy = make_policy()
    context = _below_nothing(policy)
    for prompt in (0.0, 1e-5, 1e-3):
        query = make_query(context, candidates, costs=(prompt + 1e-4,) * 3, prompt_cost=np.full(3, prompt))
        for reader in (policy, policy.snapshot()):
            assert prompt < reader.scores(query).costs[0] < prompt + 2e-5


@pytest.mark.parametrize("candidates", [(0, 1, 2), (0, 2)])
def test_a_cost_that_the_regression_alone_says_is_at_least_that_of_the_prompt(candidates: tuple[int, ...]) -> None:
    policy = make_policy()
    query = make_query(_below_nothing(policy), candidates, costs=(np.nan,) * 3, prompt_cost=np.full(3, 2e-5))
    for reader in (policy, policy.snapshot()):
        assert reader.scores(query).costs == [2e-5] * len(candidates)


def test_a_constant_cost_is_learned_as_it_is_from_the_first_observation() -> None:
    policy = make_policy()
    rng = np.random.default_rng(0)
    for _ in range(3):
        policy.update(make_context(rng), 0, 0.5, 2e-3, NOW)
        for reader in (policy, policy.snapshot()):
            costs = reader.scores(make_query(make_context(rng), costs=(np.nan,) * 3)).costs
            assert costs[0] == pytest.approx(2e-3, rel=1e-4)


def test_a_prior_that_is_no_file_is_a_clear_error(tmp_path: Path) -> None:
    missing = str(tmp_path / "prior.npz")
    with pytest.raises(PriorError, match=r"prior\.npz: can't be read .* `llm-router bootstrap`"):
        build_policy(LinUCBPolicyConfig(prior=missing), make_models(1, 2))
