"""Sources are weighed by how they agree with people."""

from __future__ import annotations

import numpy as np
import pytest

from router_backend.learning.reliability import Reliability


def told(pairs: int, accuracy: float, bias: float = 0.0, source: str = "judge", task: str = "math") -> Reliability:
    """After so many answers that a source of an accuracy and somebody else have scored."""
    rng, reliability = np.random.default_rng(0), Reliability()
    for given in (rng.random(pairs) < 0.6).astype(float).tolist():
        score = given if rng.random() < accuracy else 1.0 - given
        reliability.observe(source, task, score * (1.0 - bias) + bias, given)
    return reliability


def test_people_and_sources_that_nobody_has_checked_are_believed_wholly() -> None:
    assert Reliability().calibrated("judge", "math", 0.75) == (0.75, 1.0)
    assert told(500, 0.6).calibrated("", "math", 0.75) == (0.75, 1.0)
    assert told(500, 0.6).calibrated("truncated", "math", 0.25) == (0.25, 1.0)


def test_a_judge_weighs_the_less_the_noisier_it_is() -> None:
    weights = [told(2000, accuracy).calibrated("judge", "math", 1.0)[1] for accuracy in (0.99, 0.9, 0.8, 0.65, 0.5)]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] > 0.9
    assert weights[2] == pytest.approx(0.2 / (0.2 + 0.16 / 0.36), abs=0.05)
    assert weights[-1] < 0.02


def test_a_judge_that_says_the_opposite_teaches_nothing() -> None:
    assert told(2000, 0.1).calibrated("judge", "math", 1.0)[1] == 0.0


def test_a_judge_that_is_too_kind_is_learned_without_its_kindness() -> None:
    quality, weight = told(2000, 1.0, bias=0.5).calibrated("judge", "math", 0.7)
    assert quality == pytest.approx(0.5, abs=0.02)
    assert weight > 0.95


def test_a_signal_stands_for_what_people_give_the_answers_that_have_it() -> None:
    reliability = Reliability()
    for n in range(1000):
        reliability.observe("ended_well", "math", 0.7, float(n % 10 < 9))
    quality, weight = reliability.calibrated("ended_well", "math", 0.7)
    assert quality == pytest.approx(0.9, abs=0.01)
    assert 0.5 < weight < 0.8


def test_a_task_without_pairs_is_taken_as_the_others_and_one_with_many_as_itself() -> None:
    reliability = told(1000, 0.55, task="math")
    for n in range(1000):
        reliability.observe("judge", "rewrite", float(n % 2), float(n % 2))
    of = {
        task: reliability.calibrated("judge", task, 1.0)[1] for task in ("math", "rewrite", "open_qa", "no such task")
    }
    assert of["math"] < of["open_qa"] == of["no such task"] < of["rewrite"]


def test_agreement_is_told() -> None:
    (agreement,) = told(2000, 0.8).agreements().values()
    assert agreement.pairs == 2000
    assert agreement.agreement == pytest.approx(0.8, abs=0.03)
    assert Reliability().agreements() == {}
