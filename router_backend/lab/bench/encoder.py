"""The classifier's forward pass alone: onnxruntime in a loop, in this process, with the session options that it is served with."""

from __future__ import annotations

import time

import numpy as np

from router_backend.classifier.artifact import Artifact, newest_artifact
from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.lab.bench.load import Load
from router_backend.lab.bench.measure import Latency, latency
from router_backend.lab.bench.prompts import TOKENS
from router_backend.lab.bench.triton_models import token_ids


def measure_encoder(seconds: float) -> dict[int, Latency]:
    """By tokens that the classifier reads, one prompt after the other; a longer prompt is cut to the artifact's budget."""
    artifact = Artifact(newest_artifact(MODEL_REPOSITORY / "classifier"))
    lengths = sorted({min(tokens, artifact.metadata.max_tokens) for tokens in TOKENS})
    return {tokens: _loop(artifact, tokens, seconds) for tokens in lengths}


def _loop(artifact: Artifact, tokens: int, seconds: float) -> Latency:
    draw, load = np.random.default_rng(tokens), Load()
    for _ in range(20):
        artifact.session.run(None, token_ids(draw, tokens))
    started = time.perf_counter()
    while time.perf_counter() < started + seconds:
        inputs, sent = token_ids(draw, tokens), time.perf_counter()
        artifact.session.run(None, inputs)
        load.totals.append(time.perf_counter() - sent)
    load.seconds = time.perf_counter() - started
    return latency(load)
