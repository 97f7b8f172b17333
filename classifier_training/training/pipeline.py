"""From data to an artifact: encoder, heads, calibration, projection, export."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from classifier_training.calibration import Calibration, fit_complexity, fit_temperature, softmax
from classifier_training.data import DataError, Examples
from classifier_training.data.files import OWN_SOURCE, expand, load_prompts, load_routing, own_corpus
from classifier_training.embedding import Projection, fit_projection, success_explained
from classifier_training.encoders import load_encoder
from classifier_training.encoders.loading import DEFAULT_LAYERS, DEFAULT_VOCABULARY, PACKAGED
from classifier_training.export.artifact import Equality, write_artifact
from classifier_training.export.card import write_card
from classifier_training.export.graph import ServedClassifier
from classifier_training.export.manifest import build_manifest
from classifier_training.model import Classifier
from classifier_training.training.fit import FitOptions, Progress, fit, new_classifier
from classifier_training.training.frozen import fit_heads
from classifier_training.training.pooling import pool_texts

FloatArray = NDArray[np.float32]
Tracker = Callable[[str], Progress]
_SAMPLE = 64


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What `llm-router train` was asked for."""

    out: Path
    data: tuple[str, ...] = ()
    routing: tuple[str, ...] = ()
    own_corpus: bool = True
    mode: Literal["frozen", "full"] = "full"
    encoder: str = PACKAGED
    layers: int | None = DEFAULT_LAYERS
    vocabulary: int = DEFAULT_VOCABULARY
    cap: int = 500
    routing_cap: int = 2500
    own_weight: int = 2
    success_share: float = 0.5
    fit: FitOptions = field(default_factory=FitOptions)


@dataclass(frozen=True, slots=True)
class TrainResult:
    """Scores on rows that were held out of training, and how equal the graphs are to torch."""

    scores: dict[str, float]
    equality: Equality
    seconds: float


def _silent(_: str) -> Progress:
    return lambda step, steps, loss: None


def prompt_files(options: TrainOptions) -> list[str]:
    """The labelled files: those asked for, and the project's own corpus."""
    return [*expand(options.data), *(own_corpus() if options.own_corpus else [])]


def load_examples(options: TrainOptions) -> Examples:
    """All prompts and the `train` rows of the routing data.

    Raises:
        DataError: nothing to train on, or a file can't be used.
    """
    files = prompt_files(options)
    if not files:
        raise DataError("nothing to train on: give --data FILES or leave the project's own corpus on")
    prompts = load_prompts(files)
    if not options.routing:
        return prompts
    # A labelled prompt may also be one that routing is measured on; then nothing at all is learned from it.
    measured = set(load_routing(options.routing, split="eval").texts)
    unseen = np.array([text not in measured for text in prompts.texts])
    return Examples.join([prompts.select(unseen), load_routing(options.routing, split="train")])


def train(options: TrainOptions, track: Tracker = _silent) -> TrainResult:
    """Train, calibrate, project and export into `options.out`.

    Args:
        track: gives a progress callback for a named stage.

    Raises:
        DataError: unusable data.
        EncoderError: unusable encoder.
        TrainingError: a loss that is not finite, or a checkpoint of another run.
        ExportError: graphs outside their tolerances.
    """
    started = time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    examples = load_examples(options)
    splits = examples.splits()
    fitted = examples.select(splits == "train").balance(options.cap, options.fit.seed, options.routing_cap)
    fitted = fitted.repeat(OWN_SOURCE, options.own_weight)
    held = examples.select(splits != "train")
    held_splits = splits[splits != "train"]
    encoder = load_encoder(options.encoder, fitted.texts, options.layers, options.vocabulary)
    model = new_classifier(encoder, len(examples.models), options.fit.seed)

    checkpoint = options.out / "checkpoint.pt"
    if options.mode == "full":
        fit(model, encoder, fitted, options.fit, track("fine-tuning"), checkpoint)
        pooled = pool_texts(model, encoder, fitted.texts, options.fit.max_tokens, track("encoding"))
    else:
        pooled = pool_texts(model, encoder, fitted.texts, options.fit.max_tokens, track("encoding"))
        fit_heads(model, pooled, fitted, options.fit, track("fitting heads"))
    held_pooled = pool_texts(model, encoder, held.texts, options.fit.max_tokens, track("encoding held-out rows"))

    calibration, scores = calibrate(model, held, held_pooled, held_splits)
    projection = fit_projection(pooled, predicted_success(model, pooled), options.success_share)
    scores |= embedding_scores(model, projection, fitted, pooled, held, held_pooled)
    served = ServedClassifier(model, calibration, projection)
    manifest = build_manifest(
        describe(options), [*prompt_files(options), *expand(options.routing)], fitted, calibration
    )
    equality = write_artifact(
        options.out, served, encoder, _sample(held.texts or fitted.texts), scores, manifest, options.fit.max_tokens
    )
    result = TrainResult(scores, equality, time.monotonic() - started)
    write_card(options.out, scores, manifest, equality)
    checkpoint.unlink(missing_ok=True)
    return result


def _sample(texts: list[str]) -> list[str]:
    return texts[:: max(1, len(texts) // _SAMPLE)][:_SAMPLE]


@torch.no_grad()
def predicted_success(model: Classifier, pooled: FloatArray) -> FloatArray:
    """Probability that each model succeeds, FP32 [rows, models]."""
    model.eval()
    return np.asarray(torch.sigmoid(model.heads(torch.from_numpy(pooled)).success).numpy())


@torch.no_grad()
def calibrate(
    model: Classifier, held: Examples, pooled: FloatArray, splits: NDArray[np.str_]
) -> tuple[Calibration, dict[str, float]]:
    """Calibration on the `calibration` rows and scores on the `test` rows."""
    model.eval()
    outputs = model.heads(torch.from_numpy(pooled))
    logits, complexity = outputs.tasks.numpy(), outputs.complexity.numpy()
    rows = (splits == "calibration") & (held.tasks >= 0)
    rated = (splits == "calibration") & ~np.isnan(held.difficulty)
    slope, intercept = fit_complexity(complexity[rated], held.difficulty[rated])
    calibration = Calibration(fit_temperature(logits[rows], held.tasks[rows]), slope, intercept)
    tested = (splits == "test") & (held.tasks >= 0)
    probabilities = softmax(logits[tested] / calibration.temperature)
    scores = {}
    if tested.any():
        scores["held_out_accuracy"] = float((probabilities.argmax(1) == held.tasks[tested]).mean())
    return calibration, scores


def embedding_scores(
    model: Classifier,
    projection: Projection,
    fitted: Examples,
    pooled: FloatArray,
    held: Examples,
    held_pooled: FloatArray,
) -> dict[str, float]:
    """R² of each model's success from the embedding's prefixes, on routing rows that training never saw."""
    if not fitted.models:
        return {}
    answered = ~np.isnan(held.success).all(axis=1)
    embedding = projection(held_pooled, predicted_success(model, held_pooled))[answered]
    success = held.success[answered]
    train = np.arange(len(success)) % 2 == 0
    return {f"success_r2_{size}": success_explained(embedding[:, :size], success, train) for size in (32, 64, 128)}


def describe(options: TrainOptions) -> dict[str, object]:
    """The options as plain values, without this machine's paths."""
    values = asdict(options)
    values.pop("out")
    for name in ("data", "routing"):
        values[name] = [Path(pattern).name for pattern in values[name]]
    values["encoder"] = Path(options.encoder).name if Path(options.encoder).exists() else options.encoder
    return values
