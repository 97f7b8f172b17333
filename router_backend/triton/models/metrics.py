"""Our metrics on Triton's own /metrics: the models count what core/metrics.py declares for them.

Each change of a Triton metric is a message to the server that waits for its answer, with the interpreter locked. So a
model only adds up in memory, and a thread passes on what has changed twice a second. Histograms are counters by bucket
for the same reason: a message a bucket and flush, instead of one an observation.
"""

from __future__ import annotations

import bisect
import itertools
import logging
import math
import threading
import time
from collections.abc import Mapping
from typing import Any

import triton_python_backend_utils as pb_utils

from router_backend.bandits.statistics.change import Change
from router_backend.contract import TASKS
from router_backend.core import metrics as declared
from router_backend.core.background import kept_thread
from router_backend.core.decision import RoutedDecision
from router_backend.core.metrics import Declared
from router_backend.core.signals import Agreement

log = logging.getLogger(__name__)
_FLUSH_SECONDS = 0.5
# Of the drift signals: about the last so many decisions.
_WINDOW = 500.0
_EASY = 0.3  # complexity below which the most expensive model is more than was needed

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
    """A Prometheus histogram, as the counters that it consists of. `observe` counts one bucket; `flush` adds them up."""

    def __init__(self, metric: Declared) -> None:
        name, meaning, kind = metric.name, metric.meaning, pb_utils.MetricFamily.COUNTER
        self._bounds = metric.buckets
        self._names = [*(f"{bound:g}" for bound in metric.buckets), "+Inf"]
        self._buckets = Family(f"{name}_bucket", f"{meaning} (cumulative buckets)", kind)
        self._sum = Family(f"{name}_sum", f"{meaning} (sum)", kind)
        self._count = Family(f"{name}_count", f"{meaning} (count)", kind)
        self._seen: dict[Labels, tuple[list[int], list[float]]] = {}  # counts by bucket, not cumulative; values
        self._lock = threading.Lock()

    def observe(self, value: float, **labels: str) -> None:
        key = tuple(labels.items())
        with self._lock:
            seen = self._seen.get(key)
            if seen is None:
                seen = self._seen[key] = ([0] * len(self._names), [])
            seen[0][bisect.bisect_left(self._bounds, value)] += 1
            seen[1].append(max(value, 0.0))  # a counter can't sink

    def flush(self) -> None:
        with self._lock:
            seen, self._seen = self._seen, {}
        for key, (counts, values) in seen.items():
            labels = dict(key)
            for name, count in zip(self._names, itertools.accumulate(counts), strict=True):
                if count:
                    self._buckets.add(count, **labels, le=name)
            self._count.add(len(values), **labels)
            self._sum.add(math.fsum(values), **labels)
        for family in (self._buckets, self._sum, self._count):
            family.flush()


class Flusher:
    """Passes on what has changed, from a thread of its own, for as long as the process lives."""

    def __init__(self, *metrics: Family | Histogram) -> None:
        self._metrics = metrics
        kept_thread("metrics", self._run).start()

    def _run(self) -> None:
        while True:
            time.sleep(_FLUSH_SECONDS)
            for metric in self._metrics:
                try:
                    metric.flush()
                except Exception:
                    log.exception("a metric could not be passed on")


def family(metric: Declared) -> Family:
    kinds = {"counter": pb_utils.MetricFamily.COUNTER, "gauge": pb_utils.MetricFamily.GAUGE}
    return Family(metric.name, metric.meaning, kinds[metric.kind])


class RouterMetrics:
    """Of the `router` model."""

    def __init__(self) -> None:
        self._decisions = family(declared.DECISIONS)
        self._seconds = Histogram(declared.CHOICE_SECONDS)
        self._routing = Histogram(declared.ROUTING_SECONDS)
        self._explored = family(declared.EXPLORATIONS)
        self._easy, self._over_routed = family(declared.EASY_DECISIONS), family(declared.OVER_ROUTED)
        self._shadow = family(declared.SHADOW_DECISIONS)
        self._task_share = family(declared.TASK_SHARE)
        self._confidence = family(declared.TASK_CONFIDENCE)
        self._complexity = family(declared.COMPLEXITY_MEAN)
        self._changes, self._changed_at = family(declared.MODEL_CHANGES), family(declared.MODEL_CHANGED_SECONDS)
        self._agreement, self._weight = family(declared.SOURCE_AGREEMENT), family(declared.SOURCE_WEIGHT)
        self._known: Mapping[str, tuple[Change, ...]] = {}
        self._lost = family(declared.RECORDS_DROPPED)
        self._store_up, self._store_at = family(declared.STATE_STORE_UP), family(declared.STATE_STORE_SECONDS)
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
        if decision.complexity < _EASY and len(decision.expected_cost) > 1:
            self._easy.add(1)
            if decision.model == max(decision.expected_cost, key=decision.expected_cost.__getitem__):
                self._over_routed.add(1, model=decision.model)
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

    def changed(self, changes: Mapping[str, tuple[Change, ...]]) -> None:
        """What the main policy has found changed so far, by model."""
        for model, found in changes.items():
            if self._known.get(model) != found:
                self._changes.set(len(found), model=model)
                if found:
                    self._changed_at.set(found[-1].at, model=model)
        self._known = changes

    def agreed(self, agreements: Mapping[str, Agreement]) -> None:
        """How far sources agree with people so far."""
        for source, agreement in agreements.items():
            self._agreement.set(agreement.agreement, source=source)
            self._weight.set(agreement.weight, source=source)

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
        self._feedback = family(declared.FEEDBACK)
        self._reward, self._score = Histogram(declared.REWARD), Histogram(declared.FEEDBACK_SCORE)
        self._confusion = family(declared.TASK_LABELS)
        self._writable = family(declared.STATE_STORE_WRITABLE)
        Flusher(*(value for value in vars(self).values() if isinstance(value, Family | Histogram)))

    def accepted(
        self, model: str, task: str, policy_version: str, score: float, reward: float, duplicate: bool
    ) -> None:
        result = "duplicate" if duplicate else "accepted"
        self._feedback.add(1, model=model, task=task, result=result)
        if not duplicate:
            self._reward.observe(reward, model=model, policy_version=policy_version)
            self._score.observe(score, model=model, task=task)

    def stored(self, taken: bool) -> None:
        """Whether the store took what it was given."""
        self._writable.set(float(taken))

    def refused(self, code: str) -> None:
        self._feedback.add(1, model="none", task="none", result=code.lower())

    def labelled(self, predicted: str, actual: str) -> None:
        self._confusion.add(1, predicted=predicted, actual=actual, correct=str(predicted == actual).lower())
