"""Records as routers and gateways write them."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from router_backend.bandits.context import CONTEXT_DIM
from router_backend.core.ids import new_decision_id
from router_backend.core.records import Decision, Feedback, Outcome, Usage

ARMS = ("small", "middle", "large")


def make_decision(number: int = 0, **changes: Any) -> Decision:
    rng = np.random.default_rng(number)
    fields: dict[str, Any] = {
        "decision_id": new_decision_id(),
        "created": time.time(),
        "kind": "routed",
        "model": ARMS[number % len(ARMS)],
        "reason": "policy:linucb",
        "policy": "linucb",
        "policy_version": "linucb-1",
        "task": "math",
        "embedding_space": 7,
        "context": rng.normal(size=CONTEXT_DIM).astype(np.float32),
        "candidates": ARMS,
        "expected_cost": (0.001, 0.002, 0.003),
        "propensity": 0.5,
    }
    return Decision(**{**fields, **changes})


def make_outcome(decision: Decision, **changes: Any) -> Outcome:
    fields: dict[str, Any] = {
        "decision_id": decision.decision_id,
        "completed": decision.created + 1.0,
        "served": decision.model,
        "status": 200,
        "usage": Usage(prompt=10, completion=20),
        "usage_known": True,
        "cost": 0.0005,
    }
    return Outcome(**{**fields, **changes})


def make_feedback(decision: Decision, score: float = 0.75, **changes: Any) -> Feedback:
    return Feedback(
        **{"decision_id": decision.decision_id, "received": decision.created + 2.0, "score": score, **changes}
    )
