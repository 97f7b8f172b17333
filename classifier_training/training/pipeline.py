"""From data to an artifact: encoder, heads, calibration, projection, export."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from classifier_training.calibration import Calibration, fit_complexity, fit_temperature, softmax
from classifier_training.data import DataError, Examples
from classifier_training.data.files import (
    OWN_SOURCE,
    USUAL_COLUMNS,
    Columns,
    expand,
    load_prompts,
    load_routing,
    own_corpus,
)
from classifier_training.embedding import fit_projection, success_explained
from classifier_training.encoders import Encoder, load_encoder
from classifier_training.encoders.compact import CompactShape
from classifier_training.encoders.loading import DEFAULT_LAYERS, DEFAULT_VOCABULARY, PACKAGED, compact, read_artifact
from classifier_training.encoders.readback import read_heads
from classifier_training.export.artifact import Equality, write_artifact
from classifier_training.export.card import write_card
from classifier_training.export.graph import ServedClassifier
from classifier_training.export.manifest import build_manifest
from classifier_training.model import Classifier
from classifier_training.training.averaging import CHECKPOINT_FILE, average_with, imitates
from classifier_training.training.fit import FitOptions, Progress, fit, new_classifier
from classifier_training.training.frozen import fit_heads, fit_success
from classifier_training.training.pooling import pool_texts
from classifier_training.training.teachers import LESSONS_FILE, learn_from
from classifier_training.training.workers import TrainingError, Workers
from router_backend.classifier.artifact import Artifact
from router_backend.contract import COMPONENT_CHOICES, MODEL_FILE, TOKENIZER_FILE

FloatArray = NDArray[np.float32]
Tracker = Callable[[str], Progress]
_SAMPLE = 64
_STATISTICS_ROWS = 3000
# Of each routing file, for the success head at the end.
_SUCCESS_ROWS = 4000


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What `llm-router train` was asked for.

    Attributes:
        student: sizes of a student that starts from `encoder`'s first layers; None trains `encoder` itself.
        teachers: artifacts that the student imitates.
        left_out: sources that nothing is trained or calibrated on, so that the artifact itself can be measured on them.
        calibration_sources: sources that only the temperature is fitted on; empty takes rows of the trained sources,
            where a classifier is surer than elsewhere.
        averaged: folders of trainings with the same start, whose weights are averaged with those that this one begins with.
    """

    out: Path
    data: tuple[str, ...] = ()
    columns: Columns = USUAL_COLUMNS
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
    max_tokens: int = 128
    warm_start: Path | None = None
    averaged: tuple[Path, ...] = ()
    student: CompactShape | None = None
    teachers: tuple[Path, ...] = ()
    left_out: tuple[str, ...] = ()
    calibration_sources: tuple[str, ...] = ()
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
    own = own_corpus() if options.own_corpus else []
    if not options.data and not own:
        raise DataError("nothing to train on: give --data FILES or leave the project's own corpus on")
    given = [load_prompts(options.data, options.columns)] if options.data else []
    prompts = Examples.join([*given, *([load_prompts(own)] if own else [])])
    if not options.routing:
        return prompts
    # A labelled prompt may also be one that routing is measured on; then nothing at all is learned from it.
    measured = set(map(_folded, load_routing(options.routing, split="eval").texts))
    unseen = np.array([_folded(text) not in measured for text in prompts.texts])
    return Examples.join([prompts.select(unseen), load_routing(options.routing, split="train")])


def _folded(text: str) -> str:
    """Collections differ in the white space around and within the same prompt."""
    return " ".join(text.split())


def split_rows(examples: Examples, options: TrainOptions) -> NDArray[np.str_]:
    """ "train", "calibration", "test" or "left out" of each row.

    Raises:
        DataError: a source that no row has.
    """
    for source in (*options.left_out, *options.calibration_sources):
        if source not in examples.sources:
            raise DataError(f"no rows of source '{source}'; the data has {', '.join(np.unique(examples.sources))}")
    splits = examples.splits().astype("<U11")
    splits[np.isin(examples.sources, options.left_out)] = "left out"
    splits[np.isin(examples.sources, options.calibration_sources)] = "calibration"
    return splits


def _check_enough(examples: Examples, fitted: Examples, held: Examples) -> None:
    """Before the first minute of training: equal texts are in one split, and leave the others empty."""
    if len(set(fitted.texts)) < 2 or not len(held):
        raise DataError(
            f"{len(examples)} rows with {len(set(examples.texts))} different texts are too few: {len(set(fitted.texts))} of them"
            f" to train on and {len(set(held.texts))} to measure with; give more prompts, or leave the project's own corpus on"
        )


def train(options: TrainOptions, track: Tracker = _silent) -> TrainResult | None:
    """Train, calibrate, project and export into `options.out`. Of several processes the first does what follows the fine-tuning; the others end there, with None.

    Args:
        track: gives a progress callback for a named stage.

    Raises:
        DataError: unusable data.
        EncoderError: unusable encoder, or no artifact and no checkpoint to start from.
        TrainingError: a loss that is not finite, no such device, or a checkpoint of another run.
        ExportError: graphs outside their tolerances.
    """
    started = time.monotonic()
    workers = Workers.launched(options.fit.device)
    track = track if workers.first else _silent
    options.out.mkdir(parents=True, exist_ok=True)
    examples = load_examples(options)
    splits = split_rows(examples, options)
    fitted = examples.select(splits == "train").balance(options.cap, options.fit.seed, options.routing_cap)
    fitted = fitted.repeat(OWN_SOURCE, options.own_weight)
    held_rows = _some(np.flatnonzero(np.isin(splits, ("calibration", "test"))), options.fit.seed)
    held_rows = np.union1d(held_rows, np.flatnonzero(np.isin(examples.sources, options.calibration_sources)))
    held, held_splits = examples.select(held_rows), splits[held_rows]
    _check_enough(examples, fitted, held)
    encoder = first_encoder(options, fitted.texts)
    lessons = None
    if options.teachers:
        kept = options.out / LESSONS_FILE
        with workers.first_before_others():
            lessons = learn_from(options.teachers, fitted.texts, track("teachers"), kept, options.fit.max_tokens)
    taught = 0 if lessons is None else lessons.embedding.shape[1]
    model = new_classifier(encoder, len(examples.models), options.fit.seed, taught)
    if options.warm_start is not None:
        encoder = warm_start(model, encoder, options.warm_start)
    average_with(model, options.averaged)

    def pool(rows: Examples, stage: str) -> FloatArray:
        return pool_texts(model, encoder, rows.texts, options.max_tokens, track(stage))

    if options.mode == "full":
        checkpoint = options.out / CHECKPOINT_FILE
        fit(model, encoder, fitted, options.fit, track("fine-tuning"), checkpoint, lessons, workers)
    if not workers.first:
        return None
    if options.mode == "full":
        pooled = pool(fitted.select(_some(np.arange(len(fitted)), options.fit.seed)), "encoding")
        answered = examples.select((splits == "train") & ~np.isnan(examples.success).all(axis=1))
        answered = answered.balance(_SUCCESS_ROWS, options.fit.seed)
        fit_success(model, pool(answered, "encoding routing rows"), answered.success)
    else:
        pooled = pool(fitted, "encoding")
        fit_heads(model, pooled, fitted, options.fit, track("fitting heads"))
    held_pooled = pool(held, "encoding held-out rows")

    calibration, scores = calibrate(model, held, held_pooled, held_splits, options.calibration_sources)
    projection = fit_projection(pooled, predicted_success(model, pooled), options.success_share)
    scores |= embedding_scores(projection(held_pooled, predicted_success(model, held_pooled)), held)
    served = ServedClassifier(model, calibration, projection)
    manifest = build_manifest(
        describe(options), [*prompt_files(options), *expand(options.routing)], fitted, calibration
    )
    manifest["encoder"] = {
        "name": encoder.name,
        "layers": encoder.layers,
        "pieces": encoder.tokenizer.get_vocab_size(),
    }
    equality = write_artifact(
        options.out, served, encoder, _sample(held.texts or fitted.texts), scores, manifest, options.max_tokens
    )
    result = TrainResult(scores, equality, time.monotonic() - started)
    write_card(options.out, scores, manifest, equality)
    return result


def first_encoder(options: TrainOptions, texts: list[str]) -> Encoder:
    """The encoder that training starts from: a served artifact's as it is, or `options.encoder`, made small for a student.

    Raises:
        EncoderError: it can't be found or used.
    """
    if options.warm_start is not None and not (options.warm_start / CHECKPOINT_FILE).is_file():
        return read_artifact(options.warm_start)
    encoder = load_encoder(options.encoder, texts, options.layers, options.vocabulary)
    return encoder if options.student is None else compact(encoder, texts, options.student)


def warm_start(model: Classifier, encoder: Encoder, folder: Path) -> Encoder:
    """Load the weights of an earlier training into `model`, and give `encoder` with that training's tokenizer.

    An artifact that is to be promoted on a running server needs the tokenizer that is served there, byte for byte. Where no checkpoint
    lies beside an artifact, as in the shipped one, `encoder` has its weights already, and its heads come from the graph as far as they fit.

    Raises:
        TrainingError: a checkpoint of another size or other models.
    """
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        own = model.heads.state_dict()
        heads = {
            name: value for name, value in read_heads(folder / MODEL_FILE).items() if own[name].shape == value.shape
        }
        model.heads.load_state_dict(own | heads)
        return encoder
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        own = {name: value for name, value in model.state_dict().items() if imitates(name)}
        weights = {
            name: value
            for name, value in (state["model"] | state.get("mean", {})).items()
            if not imitates(name) or (name in own and own[name].shape == value.shape)
        }
        model.load_state_dict(own | weights)
    except RuntimeError as error:
        raise TrainingError(
            f"{path} doesn't fit: use the same --encoder, --layers, --vocabulary and --routing files"
        ) from error
    tokenizer = (folder / TOKENIZER_FILE).read_text(encoding="utf-8")
    return replace(encoder, tokenizer=Tokenizer.from_str(tokenizer), tokenizer_json=tokenizer)


def _some(rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """At most some thousand of `rows`: enough for a PCA and a temperature, and encoded in a minute or two."""
    if len(rows) <= _STATISTICS_ROWS:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, _STATISTICS_ROWS, replace=False))


def _sample(texts: list[str]) -> list[str]:
    return texts[:: max(1, len(texts) // _SAMPLE)][:_SAMPLE]


@torch.no_grad()
def predicted_success(model: Classifier, pooled: FloatArray) -> FloatArray:
    """Probability that each model succeeds, FP32 [rows, models]."""
    model.eval()
    return np.asarray(torch.sigmoid(model.heads(torch.from_numpy(pooled)).success).numpy())


@torch.no_grad()
def calibrate(
    model: Classifier, held: Examples, pooled: FloatArray, splits: NDArray[np.str_], sources: tuple[str, ...] = ()
) -> tuple[Calibration, dict[str, float]]:
    """Calibration on the `calibration` rows and scores on the `test` rows.

    Args:
        sources: the temperature is fitted on these sources alone, if there are any.
    """
    model.eval()
    outputs = model.heads(torch.from_numpy(pooled))
    logits, complexity = outputs.tasks.numpy(), outputs.complexity.numpy()
    rows = (splits == "calibration") & (held.tasks >= 0)
    if sources:
        rows &= np.isin(held.sources, sources)
    rated = (splits == "calibration") & ~np.isnan(held.difficulty)
    slope, intercept = fit_complexity(complexity[rated], held.difficulty[rated])
    calibration = Calibration(fit_temperature(logits[rows], held.tasks[rows]), slope, intercept)
    tested = (splits == "test") & (held.tasks >= 0)
    probabilities = softmax(logits[tested] / calibration.temperature)
    scores = {}
    if tested.any():
        scores["held_out_accuracy"] = float((probabilities.argmax(1) == held.tasks[tested]).mean())
    return calibration, scores


def embedding_scores(embedding: FloatArray, held: Examples) -> dict[str, float]:
    """R² of each model's success from the embedding's prefixes, on routing rows that training never saw."""
    answered = ~np.isnan(held.success).all(axis=1)
    if not answered.any():
        return {}
    fitted = np.arange(int(answered.sum())) % 2 == 0
    return {
        f"success_r2_{size}": success_explained(embedding[answered, :size], held.success[answered], fitted)
        for size in COMPONENT_CHOICES
    }


def describe(options: TrainOptions) -> dict[str, object]:
    """The options as plain values, without this machine's paths."""
    values = asdict(options)
    values.pop("out")
    values["warm_start"] = options.warm_start is not None
    values["averaged"] = len(options.averaged)
    values["teachers"] = [f"{Artifact(folder).metadata.embedding_space:x}" for folder in options.teachers]
    for name in ("data", "routing"):
        values[name] = [Path(pattern).name for pattern in values[name]]
    values["encoder"] = Path(options.encoder).name if Path(options.encoder).exists() else options.encoder
    return values
