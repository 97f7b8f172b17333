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
from typing import Any, TypeVar

import triton_python_backend_utils as pb_utils

from router_backend.core.background import kept_thread
from router_backend.core.metrics import Declared

log = logging.getLogger(__name__)
_FLUSH_SECONDS = 0.5
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


M = TypeVar("M", Family, Histogram)


class Page:
    """Triton's, as the instruments of steps."""

    def __init__(self) -> None:
        self._metrics: list[Family | Histogram] = []

    def number(self, metric: Declared) -> Family:
        return self._kept(family(metric))

    def distribution(self, metric: Declared) -> Histogram:
        return self._kept(Histogram(metric))

    def start(self) -> None:
        """Pass on what changes, from now on. Called once all instruments are made."""
        Flusher(*self._metrics)

    def flush(self) -> None:
        for metric in self._metrics:
            metric.flush()

    def _kept(self, metric: M) -> M:
        self._metrics.append(metric)
        return metric
