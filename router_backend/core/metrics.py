"""What our models add to Triton's /metrics: names, labels and meaning. `triton/models/metrics.py` counts, the catalogue reads.

Apart from the counting, so that dashboards can be written where there is no Triton. Names are public.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_SCORES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric. A histogram's name stands for its three counters, `_bucket`, `_sum` and `_count`."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


DECISIONS = Declared(
    "llm_router_decisions_total",
    "counter",
    "Decisions by chosen model, task, kind of reason, policy",
    ("model", "task", "reason", "policy_version"),
)
DECISION_SECONDS = Declared(
    "llm_router_choice_seconds", "histogram", "Time of one choice in the router model", (), _SECONDS
)
ROUTING_SECONDS = Declared(
    "llm_router_routing_seconds", "histogram", "From the tokenizer's receipt of a request to its decision", (), _SECONDS
)
EXPLORATIONS = Declared(
    "llm_router_explorations_total", "counter", "Decisions made by the exploration floor", ("model",)
)
EASY = Declared("llm_router_easy_decisions_total", "counter", "Decisions on easy prompts (complexity below 0.3)")
OVER_ROUTED = Declared(
    "llm_router_over_routed_total", "counter", "Easy prompts that went to the dearest candidate", ("model",)
)
SHADOWS = Declared(
    "llm_router_shadow_decisions_total", "counter", "What a shadow policy would have chosen", ("policy", "model")
)
TASK_SHARE = Declared(
    "llm_router_task_share", "gauge", "Drift signal: share of a task in the last 500 decisions or so", ("task",)
)
TASK_CONFIDENCE = Declared("llm_router_task_confidence", "gauge", "Drift signal: mean confidence in the last 500 or so")
COMPLEXITY_MEAN = Declared("llm_router_complexity_mean", "gauge", "Drift signal: mean complexity in the last 500 or so")
RECORDS_DROPPED = Declared(
    "llm_router_records_dropped_total", "counter", "Records lost because the store was down too long"
)
STORE_UP = Declared("llm_router_state_store_up", "gauge", "1 if the store answered the last poll")
STORE_SECONDS = Declared(
    "llm_router_state_store_seconds", "gauge", "Unix time of the last poll that the store answered"
)
FEEDBACK = Declared(
    "llm_router_feedback_total", "counter", "Feedback by model, task and what became of it", ("model", "task", "result")
)
REWARD = Declared(
    "llm_router_reward",
    "histogram",
    "Rewards that were learned",
    ("model", "policy_version"),
    (-1.0, -0.5, *_SCORES),
)
SCORE = Declared("llm_router_feedback_score", "histogram", "Scores that were given", ("model", "task"), _SCORES)
TASK_LABELS = Declared(
    "llm_router_task_labels_total",
    "counter",
    "Feedback with the right task: a confusion matrix",
    ("predicted", "actual", "correct"),
)

ALL = tuple(value for value in list(vars().values()) if isinstance(value, Declared))
