"""A linear map from one embedding space to another, so that a bandit need not start anew after a promotion.

It is fitted on the project's own corpus, since prompts of users aren't kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_backend.classifier.artifact import Artifact

MAP_FILE = "space_map.npz"
_RIDGE = 1e-3
_TEST_EVERY = 5


@dataclass(frozen=True, slots=True)
class SpaceMap:
    """`new ≈ old @ matrix + offset`.

    Attributes:
        from_space, to_space: ids of the spaces.
        matrix: FP32 [128, 128].
        offset: FP32 [128].
        r2: share of the new embeddings' variance that the map explains, on texts that it was not fitted on.
    """

    from_space: int
    to_space: int
    matrix: NDArray[np.float32]
    offset: NDArray[np.float32]
    r2: float

    def save(self, folder: Path) -> None:
        np.savez(
            folder / MAP_FILE,
            from_space=np.int64(self.from_space),
            to_space=np.int64(self.to_space),
            matrix=self.matrix,
            offset=self.offset,
            r2=np.float64(self.r2),
        )


def fit_map(
    old: NDArray[np.float32], new: NDArray[np.float32], from_space: int, to_space: int, ridge: float = _RIDGE
) -> SpaceMap:
    """Ridge regression of the new embeddings on the old ones, both FP32 [texts, 128]; every fifth text measures it."""
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
    return SpaceMap(from_space, to_space, matrix.astype(np.float32), offset.astype(np.float32), r2)


def map_between(current: Artifact, candidate: Artifact, texts: Sequence[str]) -> SpaceMap:
    """The map from the served artifact's space to the candidate's, fitted on `texts`."""
    return fit_map(
        current.predict(texts).embedding,
        candidate.predict(texts).embedding,
        current.metadata.embedding_space,
        candidate.metadata.embedding_space,
    )
