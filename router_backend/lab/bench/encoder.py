"""The classifier's forward pass alone: onnxruntime in a loop, in this process, with the session options of the backend."""

from __future__ import annotations

import time

import numpy as np
import onnxruntime as ort

from router_backend.classifier.artifact import newest_artifact
from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.contract import MODEL_FILE
from router_backend.lab.bench.load import Load
from router_backend.lab.bench.measure import Latency, latency
from router_backend.lab.bench.prompts import TOKENS
from router_backend.lab.bench.triton import token_ids


def measure_encoder(seconds: float) -> dict[int, Latency]:
    """By tokens of the prompt, one after the other."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    file = newest_artifact(MODEL_REPOSITORY / "classifier") / MODEL_FILE
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return {tokens: _loop(session, tokens, seconds) for tokens in TOKENS}


def _loop(session: ort.InferenceSession, tokens: int, seconds: float) -> Latency:
    draw, load = np.random.default_rng(tokens), Load()
    for _ in range(20):
        session.run(None, token_ids(draw, tokens))
    started = time.perf_counter()
    while time.perf_counter() < started + seconds:
        inputs, sent = token_ids(draw, tokens), time.perf_counter()
        session.run(None, inputs)
        load.totals.append(time.perf_counter() - sent)
    load.seconds = time.perf_counter() - started
    return latency(load)
