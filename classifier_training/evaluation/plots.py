"""Plots of an evaluation, as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from classifier_training.evaluation.scores import TaskScores


def _figure(width: float, height: float) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, height), constrained_layout=True)


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def plot_confusion(scores: TaskScores, path: Path) -> None:
    """Rows are the true tasks, columns the predicted ones; colour is the share of the row."""
    figure, axes = _figure(9, 8)
    shares = [[count / max(1, sum(row)) for count in row] for row in scores.confusion]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(scores.labels)), scores.labels, rotation=45, ha="right")
    axes.set_yticks(range(len(scores.labels)), scores.labels)
    for true, row in enumerate(scores.confusion):
        for predicted, count in enumerate(row):
            if count:
                dark = shares[true][predicted] > 0.5
                axes.text(
                    predicted, true, count, ha="center", va="center", color="white" if dark else "black", fontsize=7
                )
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"accuracy {scores.accuracy:.3f}, macro-F1 {scores.macro_f1:.3f}")
    _save(figure, path)


def plot_reliability(scores: TaskScores, path: Path) -> None:
    """Accuracy against confidence of the top task; a calibrated classifier is on the diagonal."""
    figure, axes = _figure(5, 5)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axes.plot([row["confidence"] for row in scores.bins], [row["accuracy"] for row in scores.bins], marker="o")
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    axes.set_title(f"expected calibration error {scores.ece:.3f}")
    _save(figure, path)


def plot_complexity(deciles: Sequence[dict[str, float]], path: Path) -> None:
    """Mean difficulty against mean predicted complexity, by deciles of the prediction."""
    figure, axes = _figure(5, 5)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axes.plot([row["predicted"] for row in deciles], [row["actual"] for row in deciles], marker="o")
    axes.set_xlabel("predicted complexity")
    axes.set_ylabel("mean difficulty")
    _save(figure, path)
