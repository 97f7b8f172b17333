"""A judge grades its share, more of it where the policy is unsure."""

from __future__ import annotations

import numpy as np
import pytest

from router_backend.bandits.query import Choice
from router_backend.lab.replay.measures import requests_until
from router_backend.lab.replay.scenarios import Grading


def choice(gap: float) -> Choice:
    return Choice(
        arm=0,
        candidates=(0, 1),
        scores=[gap, 0.0],
        means=[gap, 0.0],
        bonuses=[0.1, 0.1],
        costs=[0.0, 0.0],
        cost_weight=0.0,
        propensity=1.0,
        reason="policy:linucb",
    )


@pytest.mark.parametrize("gap", [0.0, 1.0])
def test_a_judge_keeps_to_its_share_whether_the_policy_is_sure_or_not(gap: float) -> None:
    rng, grading = np.random.default_rng(0), Grading(0.1)
    graded = sum(grading.chosen(choice(gap), rng.random()) for _ in range(3000))
    assert 0.09 <= graded / 3000 <= 0.11


def test_answers_that_the_policy_is_unsure_of_are_graded_more_often() -> None:
    rng, grading = np.random.default_rng(0), Grading(0.1)
    graded = [(gap, grading.chosen(choice(gap), rng.random())) for gap in (0.0, 1.0) * 2000]
    unsure, sure = (np.mean([was for g, was in graded if g == gap]) for gap in (0.0, 1.0))
    assert unsure > 2.5 * sure


def test_a_newcomer_is_found_when_the_latest_requests_say_so() -> None:
    arms = np.array([0] * 150 + [1, 0] * 200)
    assert requests_until(arms, np.array([1]), 0.5) == 249
    assert requests_until(arms, np.array([1]), 0.6) == len(arms)
