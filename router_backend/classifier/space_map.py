"""Embedding spaces: contexts of different encoders are never mixed; a linear map may carry old ones over.

A promotion writes the map beside the new version's model, and the router reads it there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_backend.contract import EMBEDDING_DIM

SPACE_MAP_FILE = "space_map.npz"


class SpaceMapError(ValueError):
    """A map file that can't be used; the message says why."""


@dataclass(frozen=True, slots=True)
class SpaceMap:
    """embedding_target ≈ matrix · embedding_source + offset; `matrix` FP32 [dim, dim], `offset` FP32 [dim]."""

    source: int
    target: int
    matrix: NDArray[np.float32]
    offset: NDArray[np.float32]

    @classmethod
    def load(cls, path: Path) -> SpaceMap:
        """Read an .npz with `source`, `target` (INT64 scalars), `matrix` and `offset`.

        Raises:
            SpaceMapError: not such a file.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                return cls.checked(int(data["source"]), int(data["target"]), data["matrix"], data["offset"])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise SpaceMapError(
                f"{path}: not a map of embedding spaces ({error}); write it again or remove it"
            ) from error

    @classmethod
    def checked(cls, source: int, target: int, matrix: NDArray[np.float32], offset: NDArray[np.float32]) -> SpaceMap:
        """A map whose shapes and numbers are right; ValueError otherwise."""
        if matrix.shape != (EMBEDDING_DIM, EMBEDDING_DIM) or offset.shape != (EMBEDDING_DIM,):
            raise ValueError(f"matrix is [{EMBEDDING_DIM}, {EMBEDDING_DIM}] and offset [{EMBEDDING_DIM}]")
        if not (np.isfinite(matrix).all() and np.isfinite(offset).all()):
            raise ValueError("matrix or offset holds a number that isn't finite")
        return cls(source, target, matrix.astype(np.float32), offset.astype(np.float32))

    def digest(self) -> str:
        """SHA-256 of all that it says."""
        numbers = np.array([self.source, self.target], np.int64).tobytes()
        return hashlib.sha256(numbers + self.matrix.tobytes() + self.offset.tobytes()).hexdigest()

    def save(self, path: Path) -> None:
        np.savez(path, source=self.source, target=self.target, matrix=self.matrix, offset=self.offset)

    def apply(self, contexts: NDArray[np.float32]) -> NDArray[np.float32]:
        """Contexts [n, CONTEXT_DIM] with their embeddings mapped; the features behind them stay.

        In FP64, so that a context becomes the same whatever others it is mapped with: a start maps other pages than those before it did.
        """
        mapped = contexts.copy()
        mapped[:, :EMBEDDING_DIM] = contexts[:, :EMBEDDING_DIM].astype(np.float64) @ self.matrix.T + self.offset
        return mapped
