"""The policies without learning send each request where their rule says."""

from __future__ import annotations

import numpy as np
import pytest

from router_backend.bandits.selection import probabilities, select
from tests.bandits.examples import make_models, make_policy, make_query


def _choose(policy, **fields) -> str:  # type: ignore[no-untyped-def]
    return str(policy.arms[select(policy, make_query(**fields), np.random.default_rng(0)).arm])


def _exact(name: str, models=None, **fields):  # type: ignore[no-untyped-def]
    return make_policy(name, models, epsilon=0.0, **fields)


@pytest.mark.parametrize(
    ("task", "complexity", "arm"),
    [
        ("code_generation", 0.5, "m2"),
        ("math", 0.5, "m2"),
        ("open_qa", 0.5, "m1"),
        ("text_generation", 0.5, "m1"),
        ("brainstorming", 0.5, "m1"),
        ("rewrite", 0.5, "m0"),
        ("chatbot", 0.5, "m0"),
        ("code_generation", 0.1, "m0"),  # FizzBuzz
        ("text_generation", 0.9, "m2"),  # a distributed system's design
        ("summarization", 0.9, "m2"),
    ],
)
def test_the_default_table_goes_by_price_and_complexity_moves_it(task: str, complexity: float, arm: str) -> None:
    for order in ((1, 2, 3), (3, 1, 2)):
        policy = _exact("task", make_models(*order))
        name = {1: "m0", 2: "m1", 3: "m2"}[order[policy.arms.index(_choose(policy, task=task, complexity=complexity))]]
        assert name == arm


def test_two_models_split_the_default_table() -> None:
    policy = _exact("task", make_models(1, 2))
    fields = {"candidates": (0, 1), "costs": (1, 2), "complexity": 0.5}
    assert _choose(policy, task="math", **fields) == "m1"
    assert _choose(policy, task="open_qa", **fields) == "m0"


def test_an_unsure_task_goes_to_the_cheapest() -> None:
    assert _choose(_exact("task"), task="math", complexity=0.5, confidence=0.2) == "m0"


def test_a_configured_table_is_followed_with_its_thresholds() -> None:
    table = {"math": {"model": "m1", "below": {"m0": 0.2}, "above": {"m2": 0.8}}, "rewrite": "m2"}
    policy = _exact("task", table=table, default="m1")
    assert _choose(policy, task="math", complexity=0.1) == "m0"
    assert _choose(policy, task="math", complexity=0.2) == "m1"
    assert _choose(policy, task="math", complexity=0.81) == "m2"
    assert _choose(policy, task="rewrite", complexity=0.0) == "m2"
    assert _choose(policy, task="chatbot", complexity=0.0) == "m1"


def test_the_tightest_threshold_wins() -> None:
    table = {"math": {"model": "m1", "below": {"m0": 0.4, "m2": 0.1}}}
    policy = _exact("task", table=table)
    assert _choose(policy, task="math", complexity=0.05) == "m2"
    assert _choose(policy, task="math", complexity=0.3) == "m0"


def test_a_model_that_may_not_answer_is_replaced_by_the_next_dearer_one() -> None:
    policy = _exact("task", make_models(1, 2, 3, 4), table={"math": "m1"})
    costs = (1, 2, 3, 4)
    assert _choose(policy, task="math", candidates=(0, 2, 3), costs=costs) == "m2"
    assert _choose(policy, task="math", candidates=(0, 3), costs=costs) == "m0"
    choice = select(policy, make_query(task="math", candidates=(0, 1, 2, 3), costs=costs), np.random.default_rng(0))
    assert choice.ranking == (1, 2, 0, 3)


def test_complexity_takes_the_highest_threshold_reached() -> None:
    policy = _exact("complexity", thresholds={"m0": 0.1, "m1": 0.4, "m2": 0.9})
    for complexity, arm in ((0.0, "m0"), (0.1, "m0"), (0.39, "m0"), (0.4, "m1"), (0.9, "m2"), (1.0, "m2")):
        assert _choose(policy, complexity=complexity) == arm
    by_price = _exact("complexity", make_models(3, 1, 2))
    for complexity, arm in ((0.2, "m1"), (0.5, "m2"), (0.8, "m0")):
        assert _choose(by_price, complexity=complexity) == arm


def test_a_cascade_starts_with_the_cheapest_and_ranks_in_its_order() -> None:
    rng = np.random.default_rng(0)
    assert select(_exact("cascade", make_models(3, 1, 2)), make_query(), rng).ranking == (1, 2, 0)
    ordered = _exact("cascade", cascade={"order": ["m2", "m0"]})
    assert select(ordered, make_query(), rng).ranking == (2, 0, 1)
    assert select(ordered, make_query(candidates=(0, 1)), rng).ranking == (0, 1)


def test_rules_say_nothing_against_the_quality_of_an_arm() -> None:
    for name in ("task", "complexity", "cascade", "fixed", "random"):
        assert make_policy(name).qualities(make_query(candidates=(0, 2))) == [1.0, 1.0]


def test_fixed_is_fixed() -> None:
    policy = make_policy("fixed", model="m1")
    rng = np.random.default_rng(0)
    for _ in range(50):
        choice = select(policy, make_query(), rng)
        assert (choice.arm, choice.propensity) == (1, 1.0)
    assert policy.arms[select(make_policy("fixed", default="m2"), make_query(), rng).arm] == "m2"


def test_random_gives_all_candidates_the_same_probability() -> None:
    policy = make_policy("random", make_models(1, 2, 3, explore=[False, True, True]))
    np.testing.assert_allclose(probabilities(policy, make_query()), 1 / 3)
    np.testing.assert_allclose(probabilities(policy, make_query(candidates=(0, 2))), 1 / 2)
