"""A linear map from one embedding space to another, so that a bandit need not learn everything again after a promotion.

It is fitted on the project's own corpus, since prompts of users aren't kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from router_backend.classifier.artifact import Artifact
from router_backend.classifier.space_map import SpaceMap

_RIDGE = 1e-3
_TEST_EVERY = 5


def fit_map(
    old: NDArray[np.float32], new: NDArray[np.float32], source: int, target: int, ridge: float = _RIDGE
) -> tuple[SpaceMap, float]:
    """Ridge regression of the new embeddings on the old ones, both FP32 [texts, 128].

    Returns:
        The map, and R²: the share of the new embeddings' variance that it explains on every fifth text, on which it was
        not fitted.
    """
    tested = np.arange(len(old)) % _TEST_EVERY == 0
    x, y = old.astype(np.float64), new.astype(np.float64)
    x_mean, y_mean = x[~tested].mean(axis=0), y[~tested].mean(axis=0)
    centred = x[~tested] - x_mean
    gram = centred.T @ centred
    penalty = ridge * max(np.trace(gram) / len(gram), 1e-12)
    matrix = np.linalg.solve(gram + penalty * np.eye(len(gram)), centred.T @ (y[~tested] - y_mean))
    offset = y_mean - x_mean @ matrix
    residual = y[tested] - (x[tested] @ matrix + offset)
    spread = y[tested] - y[tested].mean(axis=0)
    r2 = 1 - float((residual**2).sum() / max(float((spread**2).sum()), 1e-12))
    return SpaceMap(source, target, matrix.T.astype(np.float32), offset.astype(np.float32)), r2


def map_between(current: Artifact, candidate: Artifact, texts: Sequence[str]) -> tuple[SpaceMap, float]:
    """The map from the served artifact's space to the candidate's, fitted on `texts`, and its R²."""
    return fit_map(
        current.predict(texts).embedding,
        candidate.predict(texts).embedding,
        current.metadata.embedding_space,
        candidate.metadata.embedding_space,
    )
