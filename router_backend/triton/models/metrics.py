"""Our metrics on Triton's own /metrics (names are public; docs/metrics.md describes them).

A family must be kept alive as long as its metrics; each process registers its own families.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import triton_python_backend_utils as pb_utils

from router_backend.contract import TASKS
from router_backend.routing.decision import RoutedDecision

_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0]
_SCORES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
# Of the drift signals: about the last so many decisions.
_WINDOW = 500.0


class Family:
    """One metric name; its children are made when a label set is first seen."""

    def __init__(self, name: str, description: str, kind: Any, buckets: list[float] | None = None) -> None:
        self._family = pb_utils.MetricFamily(name=name, description=description, kind=kind)
        self._buckets = buckets
        self._children: dict[tuple[tuple[str, str], ...], Any] = {}

    def labels(self, **labels: str) -> Any:
        key = tuple(labels.items())
        child = self._children.get(key)
        if child is None:
            options = {"buckets": self._buckets} if self._buckets else {}
            child = self._children[key] = self._family.Metric(labels=labels, **options)
        return child


def counter(name: str, description: str) -> Family:
    return Family(name, description, pb_utils.MetricFamily.COUNTER)


def gauge(name: str, description: str) -> Family:
    return Family(name, description, pb_utils.MetricFamily.GAUGE)


def histogram(name: str, description: str, buckets: list[float]) -> Family:
    return Family(name, description, pb_utils.MetricFamily.HISTOGRAM, buckets)


class RouterMetrics:
    """Of the `router` model."""

    def __init__(self) -> None:
        self._decisions = counter(
            "llm_router_decisions_total", "Decisions by chosen model, task, kind of reason, policy"
        )
        self._seconds = histogram("llm_router_decision_seconds", "Time of one choice in the router model", _SECONDS)
        self._routing = histogram(
            "llm_router_routing_seconds", "From the tokenizer's receipt of a request to its decision", _SECONDS
        )
        self._explored = counter("llm_router_explorations_total", "Decisions made by the exploration floor")
        self._shadow = counter("llm_router_shadow_decisions_total", "What a shadow policy would have chosen")
        self._task_share = gauge(
            "llm_router_task_share", "Drift signal: share of a task in the last 500 decisions or so"
        )
        self._confidence = gauge("llm_router_task_confidence", "Drift signal: mean confidence in the last 500 or so")
        self._complexity = gauge("llm_router_complexity_mean", "Drift signal: mean complexity in the last 500 or so")
        self._lost = counter("llm_router_records_dropped_total", "Records lost because the store was down too long")
        self._store_up = gauge("llm_router_state_store_up", "1 if the store answered the last poll")
        self._store_at = gauge("llm_router_state_store_seconds", "Unix time of the last poll that the store answered")
        self._shares = dict.fromkeys(TASKS, 1.0 / len(TASKS))
        self._mean_confidence = self._mean_complexity = 0.0
        self._seen = 0

    def decided(self, decision: RoutedDecision) -> None:
        kind = decision.reason.partition(":")[0]
        version = decision.policy_version
        labels = {"model": decision.model, "task": decision.task or "none", "reason": kind, "policy_version": version}
        self._decisions.labels(**labels).increment(1)
        if "routing" in decision.timings_ms:
            self._routing.labels().observe(decision.timings_ms["routing"] / 1e3)
        if "decision" not in decision.timings_ms:
            return
        self._seconds.labels().observe(decision.timings_ms["decision"] / 1e3)
        if kind == "explore":
            self._explored.labels(model=decision.model).increment(1)
        self._drift(decision)

    def _drift(self, decision: RoutedDecision) -> None:
        self._seen += 1
        step = 1.0 / min(self._seen, _WINDOW)
        for task in TASKS:
            self._shares[task] += step * ((task == decision.task) - self._shares[task])
        self._mean_confidence += step * (max(decision.task_probabilities) - self._mean_confidence)
        self._mean_complexity += step * (decision.complexity - self._mean_complexity)
        # A gauge costs a message between processes: not at every decision.
        if self._seen < 20 or self._seen % 20 == 0:
            for task, share in self._shares.items():
                self._task_share.labels(task=task).set(share)
            self._confidence.labels().set(self._mean_confidence)
            self._complexity.labels().set(self._mean_complexity)

    def shadowed(self, shadows: Mapping[str, str]) -> None:
        for policy, model in shadows.items():
            self._shadow.labels(policy=policy, model=model).increment(1)

    def dropped(self, count: int) -> None:
        self._lost.labels().increment(count)

    def store_answered(self, up: bool) -> None:
        self._store_up.labels().set(1.0 if up else 0.0)
        if up:
            self._store_at.labels().set(time.time())


class FeedbackMetrics:
    """Of the `feedback` model; labels name the arm that answered."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._feedback = counter("llm_router_feedback_total", "Feedback by model, task and what became of it")
        self._reward = histogram("llm_router_reward", "Rewards that were learned", [-1.0, -0.5, *_SCORES])
        self._score = histogram("llm_router_feedback_score", "Scores that were given", _SCORES)
        self._confusion = counter("llm_router_task_labels_total", "Feedback with the right task, by predicted task")

    def accepted(
        self, model: str, task: str, policy_version: str, score: float, reward: float, duplicate: bool
    ) -> None:
        result = "duplicate" if duplicate else "accepted"
        self._feedback.labels(model=model, task=task, result=result).increment(1)
        if not duplicate:
            self._reward.labels(model=model, policy_version=policy_version).observe(reward)
            self._score.labels(model=model, task=task).observe(score)

    def refused(self, code: str) -> None:
        self._feedback.labels(model="none", task="none", result=code.lower()).increment(1)

    def labelled(self, predicted: str, actual: str) -> None:
        self._confusion.labels(predicted=predicted, actual=actual).increment(1)
