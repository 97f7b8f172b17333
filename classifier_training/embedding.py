"""The bandit's context: a PCA of the sentence embedding that also spans the predicted success of each model.

A bandit with a linear reward learns fast along directions of large variance and slowly along small ones. So the predicted
success probabilities are put beside the sentence embedding, as a block with a chosen share of the total variance, before the
PCA: the first components then tell which model will succeed, the later ones what the prompt is about.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_backend.contract import EMBEDDING_DIM

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Projection:
    """`embedding = [pooled, sigmoid(success logits)] @ matrix + offset`.

    Attributes:
        matrix: FP32 [hidden + models, 128].
        offset: FP32 [128].
        explained: share of the variance in each component, FP32 [128], descending.
    """

    matrix: FloatArray
    offset: FloatArray
    explained: FloatArray

    def __call__(self, pooled: FloatArray, success: FloatArray) -> FloatArray:
        return np.asarray(np.concatenate([pooled, success], axis=1) @ self.matrix + self.offset, dtype=np.float32)


def fit_projection(pooled: FloatArray, success: FloatArray, share: float) -> Projection:
    """PCA of both blocks, scaled so that the mean squared length of an embedding is one.

    Args:
        pooled: FP32 [rows, hidden].
        success: predicted success probabilities, FP32 [rows, models]; may have no columns.
        share: part of the total variance given to `success`, in [0, 1).
    """
    share = share if success.shape[1] else 0.0
    blocks = []
    for block, part in ((pooled, 1.0 - share), (success, share)):
        variance = float(block.var(axis=0).sum())
        blocks.append(np.full(block.shape[1], np.sqrt(part / variance) if variance > 0 else 0.0))
    scale = np.concatenate(blocks)
    features = np.concatenate([pooled, success], axis=1).astype(np.float64)
    mean = features.mean(axis=0)
    scaled = (features - mean) * scale
    values, vectors = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    order = np.argsort(-values)[:EMBEDDING_DIM]
    values, vectors = np.maximum(values[order], 0.0), vectors[:, order]
    # A sign is arbitrary; fixed, so that equal data gives an equal space.
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
    total = float(values.sum()) or 1.0
    matrix = scale[:, None] * vectors / np.sqrt(total)
    if matrix.shape[1] < EMBEDDING_DIM:
        empty = EMBEDDING_DIM - matrix.shape[1]
        matrix = np.pad(matrix, ((0, 0), (0, empty)))
        values = np.pad(values, (0, empty))
    return Projection(
        matrix.astype(np.float32), (-mean @ matrix).astype(np.float32), (values / total).astype(np.float32)
    )


def success_explained(
    embedding: FloatArray, success: FloatArray, train: NDArray[np.bool_], ridge: float = 1.0
) -> float:
    """Mean over models of R² of a ridge regression from the embedding to a model's score, on the rows outside `train`.

    What a linear bandit could know of each model's success with this context.
    """
    design = np.concatenate([embedding, np.ones((len(embedding), 1), dtype=np.float32)], axis=1).astype(np.float64)
    found = []
    for column in success.T:
        known = ~np.isnan(column)
        fitted, tested = known & train, known & ~train
        if fitted.sum() < 50 or tested.sum() < 50 or column[tested].var() == 0:
            continue
        x, y = design[fitted], column[fitted].astype(np.float64)
        weights = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ y)
        residual = column[tested] - design[tested] @ weights
        found.append(1 - float((residual**2).mean() / column[tested].var()))
    return float(np.mean(found)) if found else float("nan")
