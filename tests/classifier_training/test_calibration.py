from __future__ import annotations

import numpy as np
import pytest

from classifier_training.calibration import fit_complexity, fit_temperature, reliability, softmax
from classifier_training.embedding import fit_projection, success_explained
from classifier_training.evaluation.scores import macro_f1

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_temperature_is_recovered(temperature: float) -> None:
    logits = RNG.normal(size=(4000, 12)) * 2
    probabilities = softmax(logits)
    tasks = np.array([RNG.choice(12, p=row) for row in probabilities])
    assert fit_temperature(logits * temperature, tasks) == pytest.approx(temperature, rel=0.15)


def test_calibrated_probabilities_have_a_small_error_and_overconfident_ones_a_large_one() -> None:
    logits = RNG.normal(size=(4000, 12)) * 2
    tasks = np.array([RNG.choice(12, p=row) for row in softmax(logits)])
    assert reliability(softmax(logits), tasks)[0] < 0.03
    assert reliability(softmax(logits * 4), tasks)[0] > 0.15


def test_complexity_is_moved_onto_the_difficulty() -> None:
    logits = RNG.normal(size=2000)
    difficulty = 1 / (1 + np.exp(-(2 * logits - 1)))
    slope, intercept = fit_complexity(logits, difficulty)
    assert (slope, intercept) == (pytest.approx(2, abs=0.05), pytest.approx(-1, abs=0.05))


def test_components_are_ordered_and_the_first_ones_carry_success() -> None:
    pooled = RNG.normal(size=(600, 40)).astype(np.float32)
    ability = (pooled[:, 3:4] > 0).astype(np.float32)
    success = np.repeat(ability * 0.8 + 0.1, 5, axis=1)
    projection = fit_projection(pooled, success, share=0.5)
    embedding = projection(pooled, success)
    assert (np.diff(projection.explained) <= 1e-6).all()
    assert np.square(embedding).sum(axis=1).mean() == pytest.approx(1, rel=1e-3)
    np.testing.assert_allclose(embedding.mean(axis=0), 0, atol=1e-4)
    train = np.arange(600) < 300
    assert success_explained(embedding[:, :1], ability, train, ridge=0.01) > 0.9
    plain = fit_projection(pooled, success[:, :0], share=0.5)(pooled, success[:, :0])
    assert success_explained(plain[:, :1], ability, train, ridge=0.01) < 0.5


def test_macro_f1_counts_only_tasks_that_occur() -> None:
    assert macro_f1(np.array([[2, 0, 0], [1, 1, 0], [0, 0, 0]])) == pytest.approx((0.8 + 2 / 3) / 2)
