"""Scores of predictions against labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from classifier_training.calibration import reliability
from classifier_training.data import Examples
from router_backend.contract import TASKS

FloatArray = NDArray[np.floating[Any]]
_COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class TaskScores:
    """Of the rows with a task label."""

    accuracy: float
    macro_f1: float
    by_source: dict[str, float]
    by_language: dict[str, float]
    labels: tuple[str, ...]
    confusion: list[list[int]]  # [true][predicted], in the order of `labels`
    ece: float
    bins: list[dict[str, float]]
    coverage: dict[str, float]  # share of the rows, the surest first: accuracy on them

    def to_json(self) -> dict[str, object]:
        return {
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "by_source": self.by_source,
            "by_language": self.by_language,
            "labels": list(self.labels),
            "confusion": self.confusion,
            "ece": self.ece,
            "accuracy_by_coverage": self.coverage,
        }


def macro_f1(confusion: NDArray[np.int64]) -> float:
    """Mean F1 over the tasks that occur as a label; counts [true][predicted]."""
    hit = np.diag(confusion).astype(np.float64)
    both = confusion.sum(axis=0) + confusion.sum(axis=1)
    occurs = confusion.sum(axis=1) > 0
    return float((2 * hit[occurs] / np.maximum(both[occurs], 1)).mean())


def task_scores(probabilities: FloatArray, examples: Examples, labels: tuple[str, ...] = TASKS) -> TaskScores:
    """Scores of `probabilities`, [rows, TASK_PLACES]; every row needs a task of `labels`, the artifact's."""
    predicted = probabilities.argmax(axis=1)
    correct = predicted == examples.tasks
    confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(confusion, (examples.tasks, predicted), 1)
    ece, bins = reliability(probabilities, examples.tasks)
    return TaskScores(
        accuracy=float(correct.mean()),
        macro_f1=macro_f1(confusion),
        by_source=_by(examples.sources, correct),
        by_language=_by(examples.languages, correct),
        labels=labels,
        confusion=confusion.tolist(),
        ece=ece,
        bins=bins,
        coverage=accuracy_by_coverage(probabilities.max(axis=1), correct),
    )


def accuracy_by_coverage(confidence: FloatArray, correct: NDArray[np.bool_]) -> dict[str, float]:
    """Accuracy on the surest half, 60 %, … of the rows: what is left when the others go to the default."""
    order = np.argsort(-confidence)
    expected = _mean_of_equals(correct.astype(np.float64), confidence)[order]
    return {f"{share:.1f}": float(expected[: max(1, round(share * len(order)))].mean()) for share in _COVERAGES}


def _mean_of_equals(values: NDArray[np.float64], keys: FloatArray) -> NDArray[np.float64]:
    """[rows]: the mean of `values` over the rows of equal `keys`, so that no order among these decides a figure."""
    _, group = np.unique(keys, return_inverse=True)
    return np.asarray((np.bincount(group, values) / np.bincount(group))[group])


def _by(keys: NDArray[np.str_], correct: NDArray[np.bool_]) -> dict[str, float]:
    return {str(key): float(correct[keys == key].mean()) for key in np.unique(keys) if key}


def complexity_scores(complexity: FloatArray, difficulty: FloatArray, sources: NDArray[np.str_]) -> dict[str, object]:
    """Spearman's ρ and mean absolute error overall and by source, and deciles of predicted against mean difficulty.

    Args:
        complexity: predicted, [rows].
        difficulty: known, [rows], no NaN.
    """
    if len(difficulty) < 2:
        return {"spearman": None, "mae": None}
    by_source: dict[str, float] = {}
    for source in np.unique(sources):
        rows = sources == source
        if rows.sum() >= 20 and difficulty[rows].std() > 0:
            by_source[str(source)] = float(spearmanr(complexity[rows], difficulty[rows])[0])
    order = np.array_split(np.argsort(complexity), min(10, len(complexity)))
    expected = _mean_of_equals(difficulty, complexity)
    return {
        "spearman": float(spearmanr(complexity, difficulty)[0]),
        "mae": float(np.abs(complexity - difficulty).mean()),
        "spearman_by_source": by_source,
        "calibration": [
            {"predicted": float(complexity[rows].mean()), "actual": float(expected[rows].mean()), "count": len(rows)}
            for rows in order
        ],
    }
