"""Heads for tasks of one's own on the shipped encoder, in a minute: encoder, tokenizer, complexity and embedding stay as they are.

A regression on the frozen sentence embedding takes the place of the artifact's tasks. The corpus has labels of other tasks, so one's own prompts
alone are learned; how strong the regression may be is chosen by cross-validation, and what no fold has seen is measured.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from classifier_training.calibration import fit_temperature
from classifier_training.data import DataError, Examples
from classifier_training.data.files import USUAL_COLUMNS, Columns, load_prompts
from classifier_training.data.taxonomy import Taxonomy
from classifier_training.export.correction import NEVER, Correction, apply, move_to_space
from classifier_training.training.adapt import (
    FEWEST_MEASURED,
    PENALTIES,
    FloatArray,
    balanced,
    card_of,
    files_of,
    fit,
    loss,
    read,
    too_few,
    write,
)
from router_backend.classifier.artifact import Artifact, Progress
from router_backend.contract import CARD_FILE, MODEL_FILE, TASK_PLACES, ArtifactMetadata, sha256_of

_FOLDS = 5


@dataclass(frozen=True, slots=True)
class OwnTasksResult:
    """Accuracy on the prompts that were held out and the share of the most frequent task among them, NaN where there are fewer than
    `FEWEST_MEASURED`; prompts learned and held out, and how long it took."""

    accuracy: float
    most_frequent: float
    rows: int
    held_out: int
    seconds: float


def fit_own_tasks(
    start: Path,
    taxonomy: Taxonomy,
    data: Sequence[str],
    out: Path,
    progress: Progress,
    cap: int = 500,
    seed: int = 0,
    columns: Columns = USUAL_COLUMNS,
) -> OwnTasksResult:
    """Write into `out` the artifact of `start` with the taxonomy's tasks in place of its own.

    Raises:
        DataError: no usable data, or a task with fewer prompts than there are folds.
        ContractError: `start` is no artifact.
    """
    started, names = time.monotonic(), taxonomy.names
    artifact = Artifact(start)
    known = dataclasses.replace(columns, known=names)
    parts = [load_prompts(data, known)] if data else []
    rows = Examples.join([*parts, taxonomy.examples("examples")])
    splits = rows.splits()
    learned = np.flatnonzero(splits != "test")
    learned = learned[balanced(rows, learned, cap, seed)]
    _enough(names, rows.tasks[learned])
    tested = np.flatnonzero(splits == "test")
    used = np.concatenate([learned, tested])
    _, pooled = read(artifact, [rows.texts[row] for row in used], progress)
    count, tasks = len(learned), rows.tasks[used]
    correction = _chosen(pooled[:count], tasks[:count], len(names))
    nothing = np.ones((len(tested), 1), np.float32)
    right = correction(nothing, pooled[count:]).argmax(1) == tasks[count:]
    scores = (float("nan"), float("nan"))
    if len(tested) >= FEWEST_MEASURED:
        scores = float(right.mean()), float(np.bincount(tasks[count:]).max() / len(tested))
    figures = f"accuracy on the rows held out {scores[0]:.3f}, the most frequent task {scores[1]:.3f}"
    if scores[0] != scores[0]:
        figures = too_few(len(tested))
    _write(artifact, correction, taxonomy, out, data, scores[0], figures)
    return OwnTasksResult(*scores, count, len(tested), time.monotonic() - started)


def _enough(names: Sequence[str], tasks: NDArray[np.int64]) -> None:
    counts = np.bincount(tasks, minlength=len(names))
    if few := [f"{name} ({number})" for name, number in zip(names, counts, strict=True) if number < _FOLDS]:
        raise DataError(
            f"too few prompts to learn from: {', '.join(few)}; give at least {_FOLDS} for each task, better 50"
        )


def _chosen(pooled: FloatArray, tasks: NDArray[np.int64], width: int) -> Correction:
    """The regression on all rows, with the penalty and the temperature by which rows fit that it has not seen."""
    folds = np.zeros(len(tasks), np.int64)
    for task in range(width):  # each fold has some of each task
        places = np.flatnonzero(tasks == task)
        folds[places] = np.arange(len(places)) % _FOLDS
    # Tasks count alike, however often they were given.
    shares = (1.0 / np.bincount(tasks, minlength=width)[tasks]).astype(np.float32)
    even = np.ones((len(tasks), width), np.float32)

    def unseen(penalty: float) -> FloatArray:
        logits = np.empty((len(tasks), width), np.float32)
        for fold in range(_FOLDS):
            kept, left = folds != fold, folds == fold
            logits[left] = fit(even[kept], pooled[kept], tasks[kept], shares[kept], penalty)(even[left], pooled[left])
        return logits

    found = {penalty: unseen(penalty) for penalty in PENALTIES}
    penalty = min(PENALTIES, key=lambda each: loss(found[each], tasks, shares))
    fitted = fit(even, pooled, tasks, shares, penalty)
    spare = TASK_PLACES - width
    return Correction(
        np.pad(fitted.matrix, ((0, 0), (0, spare))),
        np.pad(fitted.offset, (0, spare), constant_values=NEVER),
        fit_temperature(found[penalty], tasks),
        other_tasks=True,
    )


def space_of(start: ArtifactMetadata, names: Sequence[str]) -> int:
    """The embedding space of contexts with probabilities of these tasks: the artifact's own for its own tasks, else one for this list."""
    if tuple(names) == start.tasks:
        return start.embedding_space
    digest = hashlib.sha256(repr((start.embedding_space, tuple(names))).encode()).digest()
    return int.from_bytes(digest[:8]) >> 1 or 1


def _write(
    artifact: Artifact,
    correction: Correction,
    taxonomy: Taxonomy,
    out: Path,
    data: Sequence[str],
    accuracy: float,
    figures: str,
) -> None:
    old, names = artifact.metadata, taxonomy.names
    space = space_of(old, names)

    def change(model: onnx.ModelProto) -> None:
        apply(model, correction)
        if space != old.embedding_space:
            move_to_space(model, space)

    own = {
        "from": sha256_of(artifact.folder / MODEL_FILE),
        "files": files_of(data),
        "taxonomy": {task.name: task.description for task in taxonomy.tasks},
    }

    def changed(before: ArtifactMetadata) -> ArtifactMetadata:
        scores = {"own_accuracy": accuracy} if accuracy == accuracy else {}
        manifest = {**before.manifest, "own_tasks": own}
        return dataclasses.replace(before, tasks=names, embedding_space=space, scores=scores, manifest=manifest)

    write(artifact, change, changed, out)
    lines = "\n".join(f"| `{task.name}` | {task.description} |" for task in taxonomy.tasks)
    (out / CARD_FILE).write_text(
        f"# Prompt classifier with own tasks\n\n| task | what it is |\n|---|---|\n{lines}\n\nFitted to {', '.join(files_of(data)) or 'examples'} by"
        f" `llm-router train --taxonomy`: {figures}. Complexity and embedding are those of the artifact that it\nstarted from, which the rest of this card"
        f" describes; its tasks and their figures aren't this one's.\n\n{card_of(artifact).replace('# ', '## ', 1)}\n",
        encoding="utf-8",
    )
