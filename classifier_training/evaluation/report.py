"""`llm-router evaluate`: one JSON object and its plots."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from classifier_training.data import DataError, Examples
from classifier_training.evaluation.latency import latency
from classifier_training.evaluation.plots import plot_complexity, plot_confusion, plot_reliability
from classifier_training.evaluation.scores import complexity_scores, task_scores
from classifier_training.evaluation.stability import stability
from classifier_training.export.artifact import FLOAT32_FILE
from router_backend.classifier.artifact import Artifact, Progress


def evaluate(artifact: Artifact, examples: Examples, progress: Progress, out: Path | None = None) -> dict[str, object]:
    """Measure an artifact on labelled rows.

    Args:
        examples: rows with a task, a difficulty, or both.
        progress: called with (texts done, texts).
        out: a folder for confusion.json and the plots; None writes nothing.

    Returns:
        `task`, `complexity`, `stability`, `latency_ms`, `precision`, `rows`, and, where the float32 file lies beside, `float32`.

    Raises:
        DataError: no row has a task.
    """
    labelled = examples.tasks >= 0
    rated = ~np.isnan(examples.difficulty)
    if not labelled.any():
        raise DataError("no row has a task label: nothing to measure")
    predictions = artifact.predict(examples.texts, progress=progress)
    names = artifact.metadata.tasks
    tasks = task_scores(predictions.probabilities[labelled], examples.select(labelled), names)
    complexity = complexity_scores(predictions.complexity[rated], examples.difficulty[rated], examples.sources[rated])
    report: dict[str, object] = {
        "task": tasks.to_json(),
        "complexity": complexity,
        "stability": asdict(stability(artifact, examples.select(labelled).texts, progress)),
        "latency_ms": latency(artifact),
        "precision": artifact.metadata.precision,
        "rows": {"task": int(labelled.sum()), "complexity": int(rated.sum())},
    }
    if artifact.metadata.precision == "int8" and (artifact.folder / FLOAT32_FILE).is_file():
        plain = Artifact(artifact.folder, model_file=FLOAT32_FILE).predict(examples.texts)
        accuracy = task_scores(plain.probabilities[labelled], examples.select(labelled), names).accuracy
        report["float32"] = {"accuracy": accuracy, "accuracy_lost_by_int8": accuracy - tasks.accuracy}
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        plot_confusion(tasks, out / "confusion.png")
        plot_reliability(tasks, out / "reliability.png")
        (out / "confusion.json").write_text(json.dumps({"labels": list(names), "counts": tasks.confusion}))
        deciles = complexity.get("calibration")
        if isinstance(deciles, list):
            plot_complexity(deciles, out / "complexity.png")
    return report


def write_report(report: dict[str, object], out: Path) -> None:
    """The whole report as report.json."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
