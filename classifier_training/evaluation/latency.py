"""How long one prompt takes, by its length, on one thread."""

from __future__ import annotations

import time

import numpy as np

from classifier_training.runtime import Artifact

LENGTHS = (16, 32, 64, 128, 256)
HEADLINE_TOKENS = 64
_WARM_UP = 5
_FIRST_WORD_ID = 4


def latency(artifact: Artifact, runs: int = 100) -> dict[str, object]:
    """p50 and p95 in ms of one 64-token prompt, and of the other lengths under `by_length`."""
    rng = np.random.default_rng(0)
    by_length: dict[str, dict[str, float]] = {}
    for length in LENGTHS:
        ids = rng.integers(_FIRST_WORD_ID, 1000, (1, length), dtype=np.int64)
        mask = np.ones_like(ids)
        seconds = []
        for run in range(runs + _WARM_UP):
            started = time.perf_counter()
            artifact.run(ids, mask)
            if run >= _WARM_UP:
                seconds.append(time.perf_counter() - started)
        by_length[str(length)] = {
            "p50": float(np.percentile(seconds, 50) * 1e3),
            "p95": float(np.percentile(seconds, 95) * 1e3),
        }
    return {**by_length[str(HEADLINE_TOKENS)], "tokens": HEADLINE_TOKENS, "by_length": by_length}
