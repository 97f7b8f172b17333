"""Whatever a policy scores: propensities are true, floors and bounds hold, and no number breaks a choice."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_backend.bandits.batch import Batch
from router_backend.bandits.charges import in_usd
from router_backend.bandits.context import CONTEXT_DIM
from router_backend.bandits.factory import POLICIES
from router_backend.bandits.selection import greedy, probabilities, select
from tests.bandits.examples import NOW, make_context, make_models, make_policy, make_query, teach

NAMES = sorted(POLICIES)


@given(
    name=st.sampled_from(NAMES),
    seed=st.integers(0, 1000),
    taught=st.integers(0, 60),
    epsilon=st.floats(0.0, 1.0),
    candidates=st.sets(st.integers(0, 3), min_size=1),
    explore=st.lists(st.booleans(), min_size=4, max_size=4),
    reward=st.sampled_from(["difference", "ratio", "budget", "quality_floor"]),
    previous=st.none() | st.integers(0, 3),
    new_share=st.floats(0.0, 1.0),
)
@settings(max_examples=150, deadline=None)
def test_propensities_are_a_distribution_above_the_floor(
    name: str,
    seed: int,
    taught: int,
    epsilon: float,
    candidates: set[int],
    explore: list[bool],
    reward: str,
    previous: int | None,
    new_share: float,
) -> None:
    rng = np.random.default_rng(seed)
    policy = make_policy(
        name,
        make_models(1, 2, 3, 4, explore=explore),
        epsilon=epsilon,
        reward={"name": reward, **({"usd_per_1000": 2.0} if reward == "budget" else {})},
        switch_penalty=0.1,
        new_share=new_share,
    )
    teach(policy, rng, taught, arms=3)
    query = make_query(make_context(rng), sorted(candidates), (1e-3, 2e-3, 3e-3, 4e-3), previous=previous)
    chances = probabilities(policy.snapshot(), query, rng)
    assert chances.sum() == pytest.approx(1.0)
    for probability, arm in zip(chances, query.candidates, strict=True):
        explored = explore[arm] and name not in ("fixed", "random") and len(candidates) > 1
        floor = epsilon / len(candidates) if explored else 0.0
        assert probability >= floor - 1e-12
    choice = select(policy.snapshot(), query, rng)
    assert choice.arm in candidates
    assert sorted(choice.ranking) == sorted(candidates)
    assert choice.ranking[0] == choice.arm
    if choice.propensity is not None:  # a policy that draws estimates it later
        assert choice.propensity == pytest.approx(chances[query.candidates.index(choice.arm)])
    assert 0.0 < choice.resolve() <= 1.0 + 1e-12


def test_a_newcomer_is_tried_more_often_where_the_others_are_long_known() -> None:
    floors = []
    for taught in (60, 900):
        policy = make_policy("epsilon_greedy", epsilon=0.0)
        teach(policy, np.random.default_rng(0), taught, arms=2)
        floors.append(policy.floors((0, 1, 2))[0][2])
    assert floors == [0.05, 0.2]


@pytest.mark.parametrize("name", NAMES)
def test_arms_are_chosen_as_often_as_their_propensities_say(name: str) -> None:
    rng = np.random.default_rng(7)
    policy = make_policy(name, epsilon=0.3, alpha=1.0)
    teach(policy, rng, 40)
    reader = policy.snapshot()
    query = make_query(make_context(rng), costs=(1e-4, 2e-4, 3e-4))
    expected = probabilities(reader, query, rng)
    n = 4000
    counts = np.zeros(3)
    told = np.zeros(3)
    for _ in range(n):
        choice = select(reader, query, rng)
        counts[choice.arm] += 1
        if told[choice.arm] == 0:
            told[choice.arm] = choice.resolve()
    # Four standard errors, and the Monte Carlo error of an estimated propensity.
    np.testing.assert_allclose(counts / n, expected, atol=4 * math.sqrt(0.25 / n) + 0.03 * reader.stochastic)
    seen = counts > 0
    np.testing.assert_allclose(told[seen], expected[seen], atol=1e-12 + 0.04 * reader.stochastic)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_that_are_not_finite_still_give_a_choice(name: str) -> None:
    rng = np.random.default_rng(1)
    policy = make_policy(name, default="m1")
    before = policy.snapshot().scores(make_query())
    policy.update(np.full(CONTEXT_DIM, np.nan, np.float32), 0, 0.5, 1.0, 1e9)
    policy.update(make_context(rng), 0, math.nan, 1.0, 1e9)
    policy.update(make_context(rng), 0, 0.5, math.inf, 1e9)
    assert policy.snapshot().scores(make_query()) == before
    choice = select(policy.snapshot(), make_query(np.full(CONTEXT_DIM, np.nan, np.float32), costs=(math.nan,) * 3), rng)
    assert choice.arm in (0, 1, 2)
    assert 0 < choice.resolve() <= 1


def test_without_a_usable_score_the_default_is_taken() -> None:
    policy = make_policy(epsilon=0.0, new_share=0.0, default="m2")
    choice = select(policy.snapshot(), make_query(np.full(CONTEXT_DIM, np.nan, np.float32)), np.random.default_rng(0))
    assert (choice.arm, choice.reason) == (2, "fallback:scores")


def test_an_unsure_task_goes_to_the_default() -> None:
    policy = make_policy(epsilon=0.0, new_share=0.0, min_confidence=0.4, default="m1")
    unsure = select(policy.snapshot(), make_query(confidence=0.3), np.random.default_rng(0))
    assert (unsure.arm, unsure.reason) == (1, "low_confidence")
    sure = select(policy.snapshot(), make_query(confidence=0.5), np.random.default_rng(0))
    assert (sure.arm, sure.reason) == (0, "policy:linucb")


def test_arms_over_their_cost_ceiling_are_no_candidates() -> None:
    policy = make_policy("random", make_models(1, 2, 3, max_cost_usd=[None, 0.02, 0.01]))
    query = make_query(costs=(0.05, 0.015, 0.015))
    rng = np.random.default_rng(0)
    assert {select(policy, query, rng).arm for _ in range(100)} == {0, 1}
    assert probabilities(policy, query).tolist() == [0.5, 0.5, 0.0]
    assert select(policy, query, rng).candidates == (0, 1)


def test_the_cheapest_is_taken_when_all_are_over_their_ceiling() -> None:
    policy = make_policy("random", make_models(1, 2, 3, max_cost_usd=0.01))
    choice = select(policy, make_query(costs=(0.05, 0.02, 0.03)), np.random.default_rng(0))
    assert (choice.arm, choice.propensity, choice.reason) == (1, 1.0, "only_candidate")


def test_a_session_stays_unless_another_arm_is_better_by_the_penalty() -> None:
    policy = make_policy("complexity", epsilon=0.0, switch_penalty=0.6)
    rng = np.random.default_rng(0)
    # Scores are 1 for the named arm and 1/2 for its costlier neighbour.
    assert select(policy, make_query(complexity=0.1), rng).arm == 0
    assert select(policy, make_query(complexity=0.1, previous=1), rng).arm == 1
    assert select(policy, make_query(complexity=0.9, previous=0), rng).arm == 2


def test_a_penalty_that_keeps_the_model_is_said() -> None:
    policy = make_policy("complexity", epsilon=0.0, switch_penalty=0.6)
    reasons = [
        select(policy, make_query(complexity=complexity, previous=previous), np.random.default_rng(0)).reason
        for complexity, previous in ((0.1, None), (0.1, 0), (0.1, 1), (0.9, 0))
    ]
    assert reasons == ["policy:complexity", "policy:complexity", "sticky", "policy:complexity"]


@pytest.mark.parametrize("name", ["linucb", "lints", "ucb1"])
def test_a_warm_cache_keeps_the_model_as_long_as_that_is_cheaper(name: str) -> None:
    """Both are equally good; the second one is cheaper, unless the first one has the prompt in its cache."""
    policy = make_policy(name, make_models(2, 1), epsilon=0.0, new_share=0.0, alpha=1e-9)
    for arm in (0, 1):
        for _ in range(2000):
            policy.update(np.zeros(CONTEXT_DIM, np.float32), arm, 0.5, 0.0, 1e9)
    rng, cold = np.random.default_rng(0), np.array([0.02, 0.01])
    found = []
    for saved in (0.0, 0.005, 0.018):
        saving = np.array([saved, 0.0])
        query = make_query(costs=cold - saving, candidates=(0, 1), previous=0, cache_saving=saving)
        choice = select(policy, query, rng)
        found.append((choice.arm, choice.reason))
        assert choice.propensity in (1.0, None)
    assert found == [(1, policy.reason), (1, policy.reason), (0, "sticky")]


@pytest.mark.parametrize(("bound", "shares"), [("max", (0.3, 1.0)), ("min", (0.3, 1.0))])
def test_shares_are_held_under_a_policy_that_wants_otherwise(bound: str, shares: tuple[float, float]) -> None:
    bounds = {"max": [{"max": 0.3}, {}], "min": [{}, {"min": 0.3}]}[bound]
    rng = np.random.default_rng(0)
    policy = make_policy("complexity", make_models(1, 2, share=bounds), epsilon=0.02)
    n = 4000
    chosen = [select(policy, make_query(candidates=(0, 1), costs=(1, 2), complexity=0.1), rng).arm for _ in range(n)]
    share = chosen.count(0) / n if bound == "max" else chosen.count(1) / n
    assert share == pytest.approx(0.3, abs=0.02)


def test_a_share_gives_up_the_requests_on_which_it_costs_least() -> None:
    """Capped at a half, the dear arm keeps the hard prompts on which it is much better."""
    rng = np.random.default_rng(0)
    policy = make_policy("linucb", make_models(1, 2, share=[{}, {"max": 0.5}]), epsilon=0.0, new_share=0.0, alpha=0.0)
    contexts = np.zeros((400, CONTEXT_DIM), np.float32)
    hard = np.arange(400) % 10 < 4
    contexts[:, 0] = hard
    for arm in (0, 1):
        quality = np.where(hard, 0.2 + 0.7 * arm, 0.6 + 0.2 * arm)
        policy.update_many(Batch(contexts, np.full(400, arm), quality, in_usd(np.zeros(400)), np.full(400, 1e9)))
    got = np.zeros((2, 2))
    for i in rng.integers(0, 400, 3000):
        query = make_query(contexts[i], (0, 1), (0.0, 0.0))
        got[int(hard[i]), select(policy, query, rng).arm] += 1
    assert got[1, 1] / got[1].sum() > 0.95
    assert got[:, 1].sum() / got.sum() == pytest.approx(0.5, abs=0.03)


def test_a_new_arm_is_explored_above_the_floor_until_it_is_known() -> None:
    rng = np.random.default_rng(0)
    policy = make_policy("epsilon_greedy", epsilon=0.03, new_share=0.1, new_until=20)
    for arm in (0, 1):
        for _ in range(30):
            policy.update(make_context(rng), arm, 0.9, 1e-3, 1e9)
    query = make_query(costs=(1e-3, 1e-3, 1e-3))
    assert probabilities(policy, query)[2] == pytest.approx(0.1)
    for _ in range(20):
        policy.update(make_context(rng), 2, 0.1, 1e-3, 1e9)
    assert probabilities(policy, query)[2] == pytest.approx(0.01)


def test_a_shadow_is_asked_without_a_trace() -> None:
    policy = make_policy("complexity", make_models(1, 2, 3, share=[{"max": 0.2}, {}, {}]), epsilon=0.5)
    query = make_query(complexity=0.0)
    assert {greedy(policy, query) for _ in range(200)} == {0}


@pytest.mark.parametrize("name", ["linucb", "lints", "ucb1", "thompson", "epsilon_greedy"])
def test_a_guarded_policy_leaves_its_reference_only_on_strong_evidence(name: str) -> None:
    guard = {"reference": "m2", "confidence": 2.0}
    policy = make_policy(name, epsilon=0.0, new_share=0.0, reward={"lambda": 0.1}, guard=guard)
    rng = np.random.default_rng(0)
    query = make_query(make_context(rng), costs=(0.01, 0.02, 0.03))
    choices = [select(policy, query, rng) for _ in range(50)]
    assert {choice.arm for choice in choices} == {2}
    assert "guard" in {choice.reason for choice in choices}
    assert {choice.resolve() for choice in choices} == {1.0}
    for _ in range(200):
        policy.update(query.context, 0, 0.9, 0.01, NOW)
        policy.update(query.context, 2, 0.5, 0.03, NOW)
    query = query._replace(candidates=(0, 2))  # nothing is known of the third
    choice = select(policy, query, rng)
    assert (choice.arm, choice.reason) == (0, f"policy:{name}")


def test_a_guard_bounds_what_is_drawn_and_the_propensity_knows_it() -> None:
    policy = make_policy("thompson", epsilon=0.0, new_share=0.0, reward={"lambda": 0}, guard={"reference": "m2"})
    for arm, quality in ((0, 0.4), (1, 0.62), (2, 0.5)):
        for _ in range(20):
            policy.update(make_query().context, arm, quality, 0.0, NOW)
    query, rng = make_query(costs=(0.0, 0.0, 0.0)), np.random.default_rng(0)
    expected = probabilities(policy, query, rng)
    assert expected[0] == 0
    assert 0.05 < expected[2] < 0.5
    choices = [select(policy, query, rng) for _ in range(1000)]
    np.testing.assert_allclose(np.bincount([c.arm for c in choices], minlength=3) / 1000, expected, atol=0.05)
    held_back = next(choice for choice in choices if choice.reason == "guard")
    assert held_back.resolve() == pytest.approx(expected[held_back.arm], abs=0.05)


def test_a_guard_explores_and_logs_true_propensities() -> None:
    policy = make_policy(epsilon=0.3, new_share=0.0, guard={"confidence": 1.0}, default="m1")
    rng = np.random.default_rng(0)
    query = make_query(costs=(0.01, 0.02, 0.03))
    expected = probabilities(policy, query)
    np.testing.assert_allclose(expected, [0.1, 0.8, 0.1])
    choices = [select(policy, query, rng) for _ in range(2000)]
    assert {choice.reason for choice in choices} == {"guard", "explore"}
    assert all(choice.propensity == pytest.approx(expected[choice.arm]) for choice in choices)
    np.testing.assert_allclose(np.bincount([choice.arm for choice in choices]) / 2000, expected, atol=0.03)


def test_a_guard_steps_back_where_its_reference_is_no_candidate() -> None:
    policy = make_policy(epsilon=0.0, new_share=0.0, guard={"reference": "m2", "confidence": 9.0})
    choice = select(policy, make_query(candidates=(0, 1)), np.random.default_rng(0))
    assert choice.reason == "policy:linucb"
