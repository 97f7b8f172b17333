"""Questions that tell whether Triton's models answer: a frozen or hung process looks alive until it is asked.

A model that is asked with the parameter `ALIVE` answers with nothing, at once: no decision, no record, no metric of ours.
The classifier is no code of ours in NVIDIA's container, so it is asked about tokens that its cache has never seen.
"""

from __future__ import annotations

import random
import re
from typing import Any

from router_backend.contract import (
    ATTENTION_MASK,
    COMPLEXITY,
    EMBEDDING,
    EMBEDDING_DIM,
    EMBEDDING_SPACE,
    INPUT_IDS,
    LENGTH_BUCKETS,
    TASK_PLACES,
    TASK_PROBABILITIES,
)

ALIVE = "llm_router_alive"

ROUTING = ("tokenizer", "classifier", "router")
"""What a decision needs."""

STREAMED = ("forwarder", "llm_router_bls")
"""Decoupled models: over HTTP they are asked with `generate`."""

NO_ANSWER = re.compile(r"not healthy|unhealthy")
"""What Triton's Python backend says, after a second, in place of a process that doesn't take a request."""

_PIECES = 1_000  # of a vocabulary: far fewer than any has


def question(model: str) -> list[dict[str, Any]]:
    """The inputs of a request to a model, as KServe's JSON."""
    match model:
        case "tokenizer":
            return [_text("text_input")]
        case "classifier":
            ids = [random.randrange(_PIECES) for _ in range(LENGTH_BUCKETS[0])]
            return [_tensor(INPUT_IDS, "INT64", ids), _tensor(ATTENTION_MASK, "INT64", [1] * len(ids))]
        case "router":
            return [
                _tensor(TASK_PROBABILITIES, "FP32", [0.0] * TASK_PLACES),
                _tensor(COMPLEXITY, "FP32", [0.0]),
                _tensor(EMBEDDING, "FP32", [0.0] * EMBEDDING_DIM),
                _tensor(EMBEDDING_SPACE, "INT64", [0]),
                _text("hints"),
            ]
        case "feedback":
            return [_text("decision_id")]
        case "forwarder":
            return [_text("decision")]
        case "llm_router_bls":
            return [_text("text_input")]
    raise ValueError(f"{model!r} is none of our models")


def _text(name: str) -> dict[str, Any]:
    return _tensor(name, "BYTES", [""])


def _tensor(name: str, datatype: str, values: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [1, len(values)], "data": values}
