"""Calibration: a temperature for the task probabilities, an affine map for the complexity's logit.

Temperature scaling: Guo et al., "On Calibration of Modern Neural Networks" (2017), section 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """`softmax(logits / temperature)`, and `sigmoid(slope * logit + intercept)` for complexity."""

    temperature: float = 1.0
    slope: float = 1.0
    intercept: float = 0.0


def softmax(logits: FloatArray) -> NDArray[np.float64]:
    """Over the last axis."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def fit_temperature(logits: FloatArray, tasks: NDArray[np.int64]) -> float:
    """The temperature that minimises the negative log-likelihood of `tasks`, INT64 [rows], under `logits` [rows, 12]."""
    if len(tasks) == 0:
        return 1.0

    def loss(log_temperature: float) -> float:
        probabilities = softmax(logits / np.exp(log_temperature))
        return float(-np.log(probabilities[np.arange(len(tasks)), tasks] + 1e-12).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded").x))


def fit_complexity(logits: FloatArray, difficulty: FloatArray) -> tuple[float, float]:
    """Slope and intercept (Platt scaling with soft targets) by binary cross-entropy; the slope stays positive."""
    if len(logits) < 10:
        return 1.0, 0.0

    def loss(parameters: NDArray[np.float64]) -> float:
        scaled = np.exp(parameters[0]) * logits + parameters[1]
        return float((np.logaddexp(0, scaled) - difficulty * scaled).mean())

    best = minimize(loss, np.zeros(2), method="Nelder-Mead").x
    return float(np.exp(best[0])), float(best[1])


def reliability(
    probabilities: FloatArray, tasks: NDArray[np.int64], bins: int = 15
) -> tuple[float, list[dict[str, float]]]:
    """Expected calibration error of the top label with equal-width bins (Guo et al., equation 3), and its bins."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == tasks
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    error, rows = 0.0, []
    for index in range(bins):
        inside = which == index
        if inside.any():
            mean, accuracy = float(confidence[inside].mean()), float(correct[inside].mean())
            error += inside.mean() * abs(mean - accuracy)
            rows.append({"confidence": mean, "accuracy": accuracy, "count": int(inside.sum())})
    return float(error), rows
