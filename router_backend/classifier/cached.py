"""Answers of a classifier to prompts that come again, as Triton's response cache keeps them."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from router_backend.classifier.artifact import Artifact, Predictions


class CachedClassifier:
    """One artifact with a bounded memory, the least recently used out first. Threads may share it."""

    def __init__(self, artifact: Artifact, capacity: int) -> None:
        """`capacity`: bytes."""
        self._artifact, self._capacity = artifact, capacity
        self._known: OrderedDict[bytes, Predictions] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def run(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Predictions:
        """Predictions [1] for one prompt's token ids and mask, INT64 [tokens]."""
        key = ids.tobytes() + mask.tobytes()
        with self._lock:
            if (found := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                return found
        found = self._artifact.run(ids[None], mask[None])
        with self._lock:
            if key not in self._known:
                self._known[key] = found
                self._bytes += _size(key, found)
            while self._bytes > self._capacity:
                self._bytes -= _size(*self._known.popitem(last=False))
        return found


def _size(key: bytes, found: Predictions) -> int:
    return len(key) + found.probabilities.nbytes + found.complexity.nbytes + found.embedding.nbytes
