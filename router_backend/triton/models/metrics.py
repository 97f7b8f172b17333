"""Our metrics on Triton's own /metrics (names are public; docs/metrics.md describes them).

Each change of a Triton metric is a message to the server that waits for its answer, with the interpreter locked. So a
model only adds up in memory, and a thread passes on what has changed twice a second. Histograms are counters by bucket
for the same reason: a message a bucket and flush, instead of one an observation.
"""

from __future__ import annotations

import bisect
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import triton_python_backend_utils as pb_utils

from router_backend.contract import TASKS
from router_backend.routing.decision import RoutedDecision

log = logging.getLogger(__name__)
_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_SCORES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_FLUSH_SECONDS = 0.5
# Of the drift signals: about the last so many decisions.
_WINDOW = 500.0

Labels = tuple[tuple[str, str], ...]


class Family:
    """One metric name. `add` and `set` change memory alone; `flush` tells Triton, and keeps the family alive."""

    def __init__(self, name: str, description: str, kind: Any) -> None:
        self._family = pb_utils.MetricFamily(name=name, description=description, kind=kind)
        self._counts = kind == pb_utils.MetricFamily.COUNTER
        self._metrics: dict[Labels, Any] = {}
        self._changed: dict[Labels, float] = {}
        self._lock = threading.Lock()

    def add(self, value: float, **labels: str) -> None:
        key = tuple(labels.items())
        with self._lock:
            self._changed[key] = self._changed.get(key, 0.0) + value

    def set(self, value: float, **labels: str) -> None:
        with self._lock:
            self._changed[tuple(labels.items())] = value

    def flush(self) -> None:
        with self._lock:
            changed, self._changed = self._changed, {}
        for key, value in changed.items():
            metric = self._metrics.get(key)
            if metric is None:
                metric = self._metrics[key] = self._family.Metric(labels=dict(key))
            (metric.increment if self._counts else metric.set)(value)


class Histogram:
    """A Prometheus histogram, as the counters that it consists of."""

    def __init__(self, name: str, description: str, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._names = [f"{bound:g}" for bound in bounds]
        self._buckets = counter(f"{name}_bucket", f"{description} (cumulative buckets)")
        self._sum = counter(f"{name}_sum", f"{description} (sum)")
        self._count = counter(f"{name}_count", f"{description} (count)")

    @property
    def families(self) -> tuple[Family, ...]:
        return self._buckets, self._sum, self._count

    def observe(self, value: float, **labels: str) -> None:
        for name in self._names[bisect.bisect_left(self._bounds, value) :]:
            self._buckets.add(1, **labels, le=name)
        self._buckets.add(1, **labels, le="+Inf")
        self._count.add(1, **labels)
        self._sum.add(max(value, 0.0), **labels)  # a counter can't sink


class Flusher:
    """Passes on what has changed, from a thread of its own, for as long as the process lives."""

    def __init__(self, *metrics: Family | Histogram) -> None:
        self._families = [
            family for metric in metrics for family in (metric.families if isinstance(metric, Histogram) else (metric,))
        ]
        threading.Thread(target=self._run, name="metrics", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(_FLUSH_SECONDS)
            for family in self._families:
                try:
                    family.flush()
                except Exception:
                    log.exception("a metric could not be passed on")


def counter(name: str, description: str) -> Family:
    return Family(name, description, pb_utils.MetricFamily.COUNTER)


def gauge(name: str, description: str) -> Family:
    return Family(name, description, pb_utils.MetricFamily.GAUGE)


class RouterMetrics:
    """Of the `router` model."""

    def __init__(self) -> None:
        self._decisions = counter(
            "llm_router_decisions_total", "Decisions by chosen model, task, kind of reason, policy"
        )
        self._seconds = Histogram("llm_router_decision_seconds", "Time of one choice in the router model", _SECONDS)
        self._routing = Histogram(
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
        Flusher(*(value for value in vars(self).values() if isinstance(value, Family | Histogram)))

    def decided(self, decision: RoutedDecision) -> None:
        kind = decision.reason.partition(":")[0]
        version = decision.policy_version
        labels = {"model": decision.model, "task": decision.task or "none", "reason": kind, "policy_version": version}
        self._decisions.add(1, **labels)
        if "routing" in decision.timings_ms:
            self._routing.observe(decision.timings_ms["routing"] / 1e3)
        if "decision" not in decision.timings_ms:
            return
        self._seconds.observe(decision.timings_ms["decision"] / 1e3)
        if kind == "explore":
            self._explored.add(1, model=decision.model)
        self._drift(decision)

    def _drift(self, decision: RoutedDecision) -> None:
        self._seen += 1
        step = 1.0 / min(self._seen, _WINDOW)
        for task in TASKS:
            self._shares[task] += step * ((task == decision.task) - self._shares[task])
        self._mean_confidence += step * (max(decision.task_probabilities) - self._mean_confidence)
        self._mean_complexity += step * (decision.complexity - self._mean_complexity)
        for task, share in self._shares.items():
            self._task_share.set(share, task=task)
        self._confidence.set(self._mean_confidence)
        self._complexity.set(self._mean_complexity)

    def shadowed(self, shadows: Mapping[str, str]) -> None:
        for policy, model in shadows.items():
            self._shadow.add(1, policy=policy, model=model)

    def dropped(self, count: int) -> None:
        self._lost.add(count)

    def store_answered(self, up: bool) -> None:
        self._store_up.set(1.0 if up else 0.0)
        if up:
            self._store_at.set(time.time())


class FeedbackMetrics:
    """Of the `feedback` model; labels name the arm that answered."""

    def __init__(self) -> None:
        self._feedback = counter("llm_router_feedback_total", "Feedback by model, task and what became of it")
        self._reward = Histogram("llm_router_reward", "Rewards that were learned", (-1.0, -0.5, *_SCORES))
        self._score = Histogram("llm_router_feedback_score", "Scores that were given", _SCORES)
        self._confusion = counter("llm_router_task_labels_total", "Feedback with the right task, by predicted task")
        Flusher(*(value for value in vars(self).values() if isinstance(value, Family | Histogram)))

    def accepted(
        self, model: str, task: str, policy_version: str, score: float, reward: float, duplicate: bool
    ) -> None:
        result = "duplicate" if duplicate else "accepted"
        self._feedback.add(1, model=model, task=task, result=result)
        if not duplicate:
            self._reward.observe(reward, model=model, policy_version=policy_version)
            self._score.observe(score, model=model, task=task)

    def refused(self, code: str) -> None:
        self._feedback.add(1, model="none", task="none", result=code.lower())

    def labelled(self, predicted: str, actual: str) -> None:
        self._confusion.add(1, predicted=predicted, actual=actual)
