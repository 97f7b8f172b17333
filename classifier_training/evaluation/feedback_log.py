"""Measure production: an export of the decision log whose feedback carries the right task."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from classifier_training.data import DataError, Examples
from classifier_training.evaluation.scores import complexity_scores, task_scores
from router_backend.contract import TASKS
from router_backend.user_files import json_objects


def evaluate_log(path: Path, tasks: tuple[str, ...] = TASKS) -> dict[str, object]:
    """Scores of the logged predictions on the decisions that users labelled.

    Args:
        path: JSON lines. `task_label` (the right task, from feedback) with `task` or `task_probabilities` (as decided); optional
            `complexity` with `difficulty`, and `source`. Lines without a label count towards the drift figures only, and
            decisions by a classifier of other tasks (`tasks`) are passed over.
        tasks: of the classifier that is measured.

    Returns:
        `task` and `complexity` as in an evaluation, `rows`, and `drift`: task shares and mean confidence over all lines.

    Raises:
        DataError: a line is no JSON object, a label is unknown, or no line has a label.
    """
    found = [row for row in json_objects(path) if tuple(row[2].get("tasks") or TASKS) == tasks]
    rows = [_checked(row, f"{path}: line {number}", tasks) for number, _, row in found]
    if not rows:
        raise DataError(
            f"{path}: no decision has the tasks {', '.join(tasks)}; name the classifier that made them with --artifact"
        )
    labelled = [row for row in rows if row.get("task_label")]
    if not labelled:
        raise DataError(f"{path}: none of {len(rows)} decisions has a `task_label`; feedback must name the right task")
    probabilities = np.stack([_probabilities(row, tasks) for row in labelled])
    examples = Examples(
        [""] * len(labelled),
        np.array([tasks.index(row["task_label"]) for row in labelled], dtype=np.int64),
        np.array([str(row.get("source") or "log") for row in labelled], dtype=np.str_),
        np.array([str(row.get("language") or "") for row in labelled], dtype=np.str_),
        np.full(len(labelled), np.nan, dtype=np.float32),
        np.empty((len(labelled), 0), dtype=np.float32),
    )
    rated = [row for row in labelled if row.get("difficulty") is not None and row.get("complexity") is not None]
    predicted = Counter(str(row.get("task")) for row in rows if row.get("task"))
    confidences = [max(row["task_probabilities"]) for row in rows if row.get("task_probabilities")]
    return {
        "task": task_scores(probabilities, examples, tasks).to_json(),
        "complexity": complexity_scores(
            np.array([row["complexity"] for row in rated], dtype=np.float64),
            np.array([row["difficulty"] for row in rated], dtype=np.float64),
            np.array(["log"] * len(rated), dtype=np.str_),
        ),
        "rows": {"decisions": len(rows), "labelled": len(labelled)},
        "drift": {
            "task_shares": {task: count / sum(predicted.values()) for task, count in sorted(predicted.items())},
            "mean_confidence": float(np.mean(confidences)) if confidences else None,
        },
    }


def _checked(row: dict[str, Any], where: str, tasks: tuple[str, ...]) -> dict[str, Any]:
    for key in ("task", "task_label"):
        if row.get(key) and row[key] not in tasks:
            raise DataError(f"{where}: {key} '{row[key]}' is unknown; one of {', '.join(tasks)}")
    probabilities = row.get("task_probabilities")
    if probabilities is not None and len(probabilities) != len(tasks):
        raise DataError(f"{where}: task_probabilities has {len(probabilities)} numbers instead of {len(tasks)}")
    if row.get("task_label") and not row.get("task") and probabilities is None:
        raise DataError(f"{where}: a label without a prediction; needs `task` or `task_probabilities`")
    return row


def _probabilities(row: dict[str, Any], tasks: tuple[str, ...]) -> Any:
    if row.get("task_probabilities"):
        return np.asarray(row["task_probabilities"], dtype=np.float64)
    return np.eye(len(tasks))[tasks.index(row["task"])]
