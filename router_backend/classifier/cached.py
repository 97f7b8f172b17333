"""Answers of a classifier to prompts that come again, as Triton's response cache keeps them."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from router_backend.classifier.artifact import Artifact

ENTRY_BYTES = 850
"""Of a prompt's answer, however long the prompt is: 141 numbers, a digest, and what Python keeps of both and of their place."""


class CachedClassifier:
    """One artifact with a bounded memory, the least recently used out first. Threads may share it.

    What is said about a prompt is FP32 [141]: task probabilities, complexity, embedding.
    """

    def __init__(self, artifact: Artifact, capacity: int) -> None:
        """`capacity`: bytes."""
        self._artifact, self._most = artifact, capacity // ENTRY_BYTES
        self._known: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: bytes) -> NDArray[np.float32] | None:
        """What was said about the prompt of a key; None: it isn't known."""
        with self._lock:
            known = self._known.get(key)
            if known is None:
                return None
            self._known.move_to_end(key)
        return np.frombuffer(known, np.float32)

    def run(self, keys: Sequence[bytes], ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """One batch of token ids and masks, INT64 [n, tokens], and the key of each row: FP32 [n, 141], which is kept."""
        found = self._artifact.run(ids, mask)
        said: NDArray[np.float32] = np.concatenate(
            (found.probabilities, found.complexity[:, None], found.embedding), axis=1
        )
        with self._lock:
            for key, row in zip(keys, said, strict=True):
                self._known[key] = row.tobytes()  # one object for three arrays: their heads would take as much
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return said


def key_of(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> bytes:
    """By which a prompt of these tokens is known, INT64 [tokens] each."""
    return hashlib.blake2b(ids.tobytes() + mask.tobytes(), digest_size=16).digest()
