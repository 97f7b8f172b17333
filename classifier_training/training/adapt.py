"""An artifact's tasks, fitted to one's own prompts in minutes: encoder, tokenizer and embedding stay, so it can be promoted as it is.

A correction is learned on the frozen sentence embedding, on top of what the artifact says. The own corpus is learned beside one's own prompts, so
that what they don't show is not forgotten; how strong the correction may be is chosen on rows held out.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch.nn import functional

from classifier_training.calibration import fit_temperature
from classifier_training.data import DataError, Examples
from classifier_training.data.files import USUAL_COLUMNS, Columns, expand, load_prompts, own_corpus
from classifier_training.export.artifact import FLOAT32_FILE
from classifier_training.export.correction import Correction, apply, normed, with_pooled_output
from classifier_training.export.graph import write_metadata
from router_backend.classifier.artifact import Artifact, Progress
from router_backend.contract import (
    ATTENTION_MASK,
    CARD_FILE,
    INPUT_IDS,
    MODEL_FILE,
    TASK_PROBABILITIES,
    TASKS,
    TOKENIZER_FILE,
    ArtifactMetadata,
    sha256_of,
)

FloatArray = NDArray[np.float32]

PENALTIES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
_STEPS = 60
FEWEST_MEASURED = 20
"""Prompts held out, for an accuracy of theirs to be told. Of 20 its standard error is up to 0.11, and one prompt is 5 points."""


@dataclass(frozen=True, slots=True)
class AdaptResult:
    """Accuracy on one's own prompts that were held out, before and after, NaN where there are fewer than `FEWEST_MEASURED`;
    prompts learned and held out, and how long it took."""

    before: float
    after: float
    rows: int
    held_out: int
    seconds: float


def adapt(
    start: Path,
    data: Sequence[str],
    out: Path,
    progress: Progress,
    cap: int = 500,
    seed: int = 0,
    columns: Columns = USUAL_COLUMNS,
) -> AdaptResult:
    """Write into `out` the artifact of `start` with its tasks fitted to `data`.

    Raises:
        DataError: no usable data.
        ContractError: `start` is no artifact.
    """
    started = time.monotonic()
    if not data:
        raise DataError("nothing to adapt to: give --data FILES with a text and a task in each row")
    artifact = Artifact(start)
    if artifact.metadata.tasks != TASKS:
        raise DataError(
            f"{start}: has tasks of its own, which the corpus doesn't know; name their file with --taxonomy"
        )
    own = load_prompts(data, columns)
    rows = Examples.join([own, load_prompts(own_corpus())])
    is_own = np.arange(len(rows)) < len(own)
    splits = rows.splits()
    fitted = np.flatnonzero(splits == "train")
    fitted = fitted[balanced(rows, fitted, cap, seed)]
    held = np.flatnonzero(splits != "train")
    used = np.concatenate([fitted, held])
    probabilities, pooled = read(artifact, [rows.texts[index] for index in used], progress)
    count = len(fitted)
    tasks = rows.tasks[used]
    # One's own prompts together count as much as the corpus, however few they are.
    shares = np.where(is_own[used], len(used) / max(1, is_own[used].sum()), len(used) / max(1, (~is_own[used]).sum()))
    chosen = splits[used] == "calibration"
    tested = (splits[used] == "test") & is_own[used]
    corrections = [
        fit(probabilities[:count], pooled[:count], tasks[:count], shares[:count], each) for each in PENALTIES
    ]
    best = min(
        corrections, key=lambda each: loss(each(probabilities[chosen], pooled[chosen]), tasks[chosen], shares[chosen])
    )
    temperature = fit_temperature(best(probabilities[chosen], pooled[chosen]), tasks[chosen])
    best = dataclasses.replace(best, temperature=temperature)
    before = probabilities[tested].argmax(1) == tasks[tested]
    after = best(probabilities[tested], pooled[tested]).argmax(1) == tasks[tested]
    held_out = int(tested.sum())
    scores, new, figures = (float("nan"), float("nan")), {}, too_few(held_out)
    if held_out >= FEWEST_MEASURED:
        scores = float(before.mean()), float(after.mean())
        new = {"adapted_before": scores[0], "adapted_after": scores[1]}
        figures = f"accuracy on its held-out rows {scores[0]:.3f} before, {scores[1]:.3f} after"
    change = {"from": sha256_of(artifact.folder / MODEL_FILE), "files": files_of(data)}

    def changed(old: ArtifactMetadata) -> ArtifactMetadata:
        kept = {key: value for key, value in old.scores.items() if not key.startswith("adapted_")}
        return dataclasses.replace(old, scores=kept | new, manifest={**old.manifest, "adapted": change})

    write(artifact, lambda model: apply(model, best), changed, out)
    card = (
        f"{card_of(artifact)}\n\n## Adapted\n\nThe tasks were fitted to {', '.join(files_of(data)) or 'own data'} by `llm-router train --adapt`: {figures}."
        " Encoder, complexity and\nembedding are those of the artifact that it started from, which the rest of this card describes.\n"
    )
    (out / CARD_FILE).write_text(card, encoding="utf-8")
    return AdaptResult(*scores, count, held_out, time.monotonic() - started)


def too_few(held_out: int) -> str:
    """What stands in place of an accuracy on so few prompts."""
    return f"too few own prompts to measure: {held_out} held out, and a figure needs {FEWEST_MEASURED}"


def balanced(rows: Examples, indices: NDArray[np.int64], cap: int, seed: int) -> NDArray[np.int64]:
    """Places in `indices`, at most `cap` of each source and task, drawn at random."""
    rng = np.random.default_rng(seed)
    keys = np.char.add(np.char.add(rows.sources[indices], "/"), rows.tasks[indices].astype(str))
    kept = []
    for key in np.unique(keys):
        places = np.flatnonzero(keys == key)
        kept.append(places if len(places) <= cap else rng.choice(places, cap, replace=False))
    return np.sort(np.concatenate(kept))


def read(artifact: Artifact, texts: Sequence[str], progress: Progress) -> tuple[FloatArray, FloatArray]:
    """Task probabilities [texts, TASK_PLACES] and pooled embeddings [texts, hidden], as the served graph computes them."""
    model, name = with_pooled_output(onnx.load(str(artifact.folder / MODEL_FILE)))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    probabilities, pooled = [], []
    for number, text in enumerate(texts, 1):
        row = artifact.encoder.encode(text)
        feed = {INPUT_IDS: row.input_ids[None], ATTENTION_MASK: row.attention_mask[None]}
        found = session.run([TASK_PROBABILITIES, name], feed)
        probabilities.append(found[0])
        pooled.append(found[1])
        progress(number, len(texts), float("nan"))
    return np.concatenate(probabilities), np.concatenate(pooled)


def fit(
    probabilities: FloatArray, pooled: FloatArray, tasks: NDArray[np.int64], shares: FloatArray, penalty: float
) -> Correction:
    """What is put on `probabilities` [rows, tasks], so that they fit `tasks`; `shares` [rows] are weights of rows."""
    width = probabilities.shape[1]
    logits = torch.from_numpy(np.log(np.maximum(probabilities, 1e-7)))
    features, labels = torch.from_numpy(normed(pooled)), torch.from_numpy(tasks)
    weights = torch.from_numpy((shares / shares.sum()).astype(np.float32))
    matrix = torch.zeros(features.shape[1], width, requires_grad=True)
    offset = torch.zeros(width, requires_grad=True)
    optimiser = torch.optim.LBFGS([matrix, offset], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        losses = functional.cross_entropy(logits + features @ matrix + offset, labels, reduction="none")
        total = (losses * weights).sum() + penalty * (matrix**2).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return Correction(matrix.detach().numpy(), offset.detach().numpy(), 1.0)


def loss(logits: FloatArray, tasks: NDArray[np.int64], shares: FloatArray) -> float:
    """Weighted mean cross-entropy of logits [rows, tasks]."""
    losses = functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(tasks), reduction="none").numpy()
    return float((losses * shares).sum() / shares.sum())


def write(
    artifact: Artifact,
    change: Callable[[onnx.ModelProto], None],
    changed: Callable[[ArtifactMetadata], ArtifactMetadata],
    out: Path,
) -> None:
    """Write `artifact` into `out` with its graphs and their metadata changed; no card."""
    out.mkdir(parents=True, exist_ok=True)
    (out / TOKENIZER_FILE).write_bytes((artifact.folder / TOKENIZER_FILE).read_bytes())
    for name in (MODEL_FILE, FLOAT32_FILE):
        if not (artifact.folder / name).is_file():
            continue
        model = onnx.load(str(artifact.folder / name))
        change(model)
        onnx.save(model, str(out / name))
        write_metadata(out / name, changed(Artifact(artifact.folder, model_file=name).metadata))


def files_of(data: Sequence[str]) -> Mapping[str, str]:
    """SHA-256 of each file of labelled prompts, by its name."""
    return {Path(name).name: sha256_of(Path(name)) for name in expand(data) if Path(name).is_file()}


def card_of(artifact: Artifact) -> str:
    card = artifact.folder / CARD_FILE
    return (card.read_text(encoding="utf-8") if card.is_file() else "# Prompt classifier\n").rstrip()
