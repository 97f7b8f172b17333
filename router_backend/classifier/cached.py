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
        """Predictions [n] for n prompts of one width: token ids and masks, INT64 [n, tokens]. Those not known are one batch."""
        keys = [
            hashlib.blake2b(row.tobytes() + of.tobytes(), digest_size=16).digest()
            for row, of in zip(ids, mask, strict=True)
        ]
        with self._lock:
            known = {key: self._known[key] for key in keys if key in self._known}
            for key in known:
                self._known.move_to_end(key)
        new = [at for at, key in enumerate(keys) if key not in known]
        if not new:
            return _unpacked([known[key] for key in keys])
        found = self._artifact.run(ids[new], mask[new]) if len(new) < len(keys) else self._artifact.run(ids, mask)
        packed = _packed(found)
        with self._lock:
            for at, data in zip(new, packed, strict=True):
                self._known[keys[at]] = known[keys[at]] = data
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return found if len(new) == len(keys) else _unpacked([known[key] for key in keys])


def _packed(found: Predictions) -> list[bytes]:
    """One object a prompt for three arrays: their heads would take as much as their numbers."""
    tasks = len(TASKS)
    rows = np.empty((len(found.complexity), tasks + 1 + EMBEDDING_DIM), np.float32)
    rows[:, :tasks], rows[:, tasks], rows[:, tasks + 1 :] = found.probabilities, found.complexity, found.embedding
    return [row.tobytes() for row in rows]


def _unpacked(data: list[bytes]) -> Predictions:
    numbers = np.frombuffer(b"".join(data), np.float32).reshape(len(data), -1)
    tasks = len(TASKS)
    return Predictions(numbers[:, :tasks], numbers[:, tasks], numbers[:, tasks + 1 : tasks + 1 + EMBEDDING_DIM])
