"""Write an artifact folder: both graphs, tokenizer, metadata; and check the graphs against torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from classifier_training.encoders import Encoder
from classifier_training.export.graph import ServedClassifier, export_float32, quantise, write_metadata
from classifier_training.text import encode
from router_backend.classifier.artifact import Artifact, Predictions
from router_backend.contract import (
    CONTRACT_VERSION,
    EMBEDDING_DIM,
    MODEL_FILE,
    TASKS,
    TOKENIZER_FILE,
    ArtifactMetadata,
    sha256_of,
)

FLOAT32_FILE = "model.float32.onnx"
MAX_BYTES = 50_000_000
# Largest difference of any output between torch and the float32 graph.
FLOAT32_TOLERANCE = 1e-3
# The int8 graph: mean cosine between embeddings, and mean over prompts of the largest difference of a probability.
INT8_COSINE = 0.97
INT8_TOLERANCE = 0.05


class ExportError(RuntimeError):
    """A graph that differs from the fitted model beyond the stated tolerance, or is too large."""


@dataclass(frozen=True, slots=True)
class Equality:
    """How far the graphs are from torch, on sample prompts."""

    float32_difference: float
    int8_cosine: float
    int8_difference: float
    int8_agreement: float  # share of prompts with the same task

    @property
    def int8_close(self) -> bool:
        return self.int8_cosine >= INT8_COSINE and self.int8_difference <= INT8_TOLERANCE

    def check(self, int8: Path) -> None:
        """Raises ExportError: a graph is outside its tolerance, or the int8 file is too large."""
        if self.float32_difference > FLOAT32_TOLERANCE:
            raise ExportError(
                f"the float32 graph differs from torch by {self.float32_difference:.2g} (at most {FLOAT32_TOLERANCE})"
            )
        if not self.int8_close:
            raise ExportError(
                f"the int8 graph is too far from torch: cosine {self.int8_cosine:.3f} (at least {INT8_COSINE}),"
                f" probabilities differ by {self.int8_difference:.3f} (at most {INT8_TOLERANCE})"
            )
        size = int8.stat().st_size
        if size > MAX_BYTES:
            raise ExportError(
                f"{int8.name} has {size / 1e6:.0f} MB (at most 50); use fewer --layers or a smaller --vocabulary"
            )


def write_artifact(
    folder: Path,
    served: ServedClassifier,
    encoder: Encoder,
    sample: Sequence[str],
    scores: Mapping[str, float],
    manifest: Mapping[str, object],
    max_tokens: int,
) -> Equality:
    """Write `model.onnx` (int8), `model.float32.onnx` and `tokenizer.json` into `folder`, and check them.

    Args:
        sample: prompts to compare the graphs on.

    Raises:
        ExportError: a graph is outside its tolerance.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = folder / TOKENIZER_FILE
    tokenizer.write_text(encoder.tokenizer_json or encoder.tokenizer.to_str(), encoding="utf-8")
    plain, small = folder / FLOAT32_FILE, folder / MODEL_FILE
    export_float32(served, plain)
    written = partial(_metadata, served, encoder, scores, manifest, max_tokens, sha256_of(tokenizer))
    write_metadata(plain, written("float32"))
    for exact in (False, True):
        quantise(plain, small, encoder.heads, encoder.hidden, exact)
        write_metadata(small, written("int8"))
        equality = compare(folder, served, encoder, sample, max_tokens)
        if equality.int8_close:
            break
    equality.check(small)
    return equality


def _metadata(
    served: ServedClassifier,
    encoder: Encoder,
    scores: Mapping[str, float],
    manifest: Mapping[str, object],
    max_tokens: int,
    tokenizer_sha256: str,
    precision: str,
) -> ArtifactMetadata:
    return ArtifactMetadata(
        contract_version=CONTRACT_VERSION,
        tasks=TASKS,
        embedding_dim=EMBEDDING_DIM,
        embedding_space=served.space,
        max_tokens=max_tokens,
        tokenizer_sha256=tokenizer_sha256,
        prefix=encoder.prefix,
        precision=precision,
        scores=dict(scores),
        manifest=dict(manifest),
    )


@torch.no_grad()
def compare(
    folder: Path, served: ServedClassifier, encoder: Encoder, sample: Sequence[str], max_tokens: int
) -> Equality:
    """Compare both graphs with torch, prompt by prompt."""
    served.eval()
    outputs = []
    for row in encode(encoder.tokenizer, sample, encoder.prefix, max_tokens):
        ids = torch.tensor([row])
        outputs.append([output.numpy() for output in served(ids, torch.ones_like(ids))[:3]])
    expected = Predictions(*(np.concatenate(parts) for parts in zip(*outputs, strict=True)))
    plain = Artifact(folder, model_file=FLOAT32_FILE).predict(sample)
    small = Artifact(folder).predict(sample)
    difference = max(
        float(np.abs(expected.probabilities - plain.probabilities).max()),
        float(np.abs(expected.complexity[:, 0] - plain.complexity).max()),
        float(np.abs(expected.embedding - plain.embedding).max()),
    )
    norms = np.linalg.norm(expected.embedding, axis=1) * np.linalg.norm(small.embedding, axis=1)
    cosine = float(((expected.embedding * small.embedding).sum(axis=1) / norms).mean())
    int8_difference = float(np.abs(expected.probabilities - small.probabilities).max(axis=1).mean())
    agreement = float((expected.probabilities.argmax(1) == small.probabilities.argmax(1)).mean())
    return Equality(difference, cosine, int8_difference, agreement)
