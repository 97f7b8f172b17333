"""Answers of a classifier to prompts that come again, as Triton's response cache keeps them."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from router_backend.classifier.artifact import Artifact, Predictions
from router_backend.contract import EMBEDDING_DIM, TASKS

ENTRY_BYTES = 850
"""Of a prompt's answer, however long the prompt is: 141 numbers, a digest, and what Python keeps of both and of their place."""


class CachedClassifier:
    """One artifact with a bounded memory, the least recently used out first. Threads may share it."""

    def __init__(self, artifact: Artifact, capacity: int) -> None:
        """`capacity`: bytes."""
        self._artifact, self._most = artifact, capacity // ENTRY_BYTES
        self._known: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def run(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Predictions:
        """Predictions [1] for one prompt's token ids and mask, INT64 [tokens]."""
        key = hashlib.blake2b(ids.tobytes() + mask.tobytes(), digest_size=16).digest()
        with self._lock:
            if (known := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                return _unpacked(known)
        found = self._artifact.run(ids[None], mask[None])
        with self._lock:
            self._known[key] = _packed(found)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return found


def _packed(found: Predictions) -> bytes:
    """One object for three arrays: their heads would take as much as their numbers."""
    return found.probabilities.tobytes() + found.complexity.tobytes() + found.embedding.tobytes()


def _unpacked(data: bytes) -> Predictions:
    numbers = np.frombuffer(data, np.float32)[None]
    tasks = len(TASKS)
    return Predictions(numbers[:, :tasks], numbers[:, tasks], numbers[:, tasks + 1 : tasks + 1 + EMBEDDING_DIM])
