"""Published scores stand for answers until there are some."""

from __future__ import annotations

import numpy as np
import pytest

from router_backend.bandits.context import build_context
from router_backend.bandits.factory import build_policy
from router_backend.bandits.policy import Policy
from router_backend.bandits.query import Query
from router_backend.config import parse_config
from router_backend.config.policy import policy_config
from router_backend.contract import EMBEDDING_DIM, TASKS

SCORES = {
    "old": {"en": {"math": 0.6, "open_qa": 0.7}, "ja": {"math": 0.5}},
    "new": {"en": {"math": 0.9, "open_qa": 0.6}, "ja": {"math": 0.3}},
    "unknown": {},
}


def policy(name: str = "linucb") -> Policy:
    models = [
        f"  - {{name: {arm}, upstream: {{kind: local}}, price: {{input: 1, output: 1}}, context_window: 8192, benchmarks: {scores}}}"
        for arm, scores in SCORES.items()
    ]
    config = parse_config("version: 1\nmodels:\n" + "\n".join(models) + "\ndefault_model: old")
    return build_policy(policy_config({"name": name}), config.models)


def context(task: str, japanese: bool = False) -> np.ndarray:
    probabilities = np.full(len(TASKS), 0.1 / (len(TASKS) - 1), np.float32)
    probabilities[TASKS.index(task)] = 0.9
    return build_context(np.zeros(EMBEDDING_DIM, np.float32), probabilities, 0.5, 100, japanese, False)


def expected(policy: Policy, task: str, japanese: bool = False) -> dict[str, float]:
    query = Query(context=context(task, japanese), candidates=(0, 1, 2), expected_cost=np.zeros(3))
    return dict(zip(SCORES, policy.qualities(query), strict=True))


def test_before_any_answer_quality_is_expected_as_published() -> None:
    fresh = policy()
    math, qa = expected(fresh, "math"), expected(fresh, "open_qa")
    assert math["new"] - math["old"] == pytest.approx(0.3, abs=0.1)
    assert qa["old"] > qa["new"]


def test_japanese_scores_count_for_japanese_prompts() -> None:
    math = expected(policy(), "math", japanese=True)
    assert math["old"] - math["new"] == pytest.approx(0.2, abs=0.1)


def test_a_model_without_scores_is_taken_as_its_neighbours_are() -> None:
    math = expected(policy(), "math")
    assert math["old"] < math["unknown"] < math["new"]


def test_answers_overrule_what_was_published() -> None:
    taught = policy()
    for n in range(60):
        taught.update(context("math"), 1, 0.1, 0.0, 1.7e9 + n)
    math = expected(taught, "math")
    assert math["new"] < 0.25 < math["old"]


def test_policies_that_read_no_context_start_from_the_mean() -> None:
    math = expected(policy("ucb1"), "math")
    assert math["old"] == pytest.approx(0.6, abs=0.05)
