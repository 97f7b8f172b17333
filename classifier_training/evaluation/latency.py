"""How long one prompt takes, by its length, on one thread."""

from __future__ import annotations

import time

import numpy as np

from router_backend.classifier.artifact import Artifact

LENGTHS = (16, 32, 64, 128, 256)
HEADLINE_TOKENS = 64
_WARM_UP = 5
_TEXT = "How do I sort a list of dictionaries by two keys, and which of both ways is faster? "


def latency(artifact: Artifact, runs: int = 100) -> dict[str, object]:
    """p50 and p95 in ms of one 64-token prompt, and of the other lengths that the artifact reads under `by_length`."""
    words = np.array(artifact.encoder.ids(_TEXT)[0], dtype=np.int64)
    by_length: dict[str, dict[str, float]] = {}
    for length in LENGTHS:
        if length > artifact.metadata.max_tokens:
            continue
        ids = np.resize(words, (1, length))
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
