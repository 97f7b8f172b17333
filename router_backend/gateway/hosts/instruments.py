"""What steps in this process count, on the gateway's own page."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from router_backend.core.metrics import Declared


class PrometheusInstruments:
    """Of one registry. The names are those that Triton's page has."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def number(self, metric: Declared) -> _Counted | _Measured:
        if metric.kind == "counter":
            return _Counted(Counter(metric.name, metric.meaning, metric.labels, registry=self._registry))
        gauge = Gauge(
            metric.name, metric.meaning, metric.labels, registry=self._registry, multiprocess_mode="livemostrecent"
        )
        return _Measured(gauge)

    def distribution(self, metric: Declared) -> _Observed:
        return _Observed(
            Histogram(metric.name, metric.meaning, metric.labels, buckets=metric.buckets, registry=self._registry)
        )


class _Counted:
    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    def add(self, value: float, **labels: str) -> None:
        (self._counter.labels(**labels) if labels else self._counter).inc(value)

    def set(self, value: float, **labels: str) -> None:
        raise TypeError("a counter can't be set")


class _Measured:
    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge

    def add(self, value: float, **labels: str) -> None:
        (self._gauge.labels(**labels) if labels else self._gauge).inc(value)

    def set(self, value: float, **labels: str) -> None:
        (self._gauge.labels(**labels) if labels else self._gauge).set(value)


class _Observed:
    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram

    def observe(self, value: float, **labels: str) -> None:
        (self._histogram.labels(**labels) if labels else self._histogram).observe(value)
