"""Every metric that dashboards and alerts may use: our declared ones, and those of Triton itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from router_backend.core import metrics as declared


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as it stands on /metrics; a histogram has `_bucket`, `_sum` and `_count` series."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str
    source: str  # gateway, triton (our models), or server (Triton itself)
    summed: bool = True  # the client library leaves out `_sum` of a histogram of values below 0

    @property
    def series(self) -> tuple[str, ...]:
        if self.kind == "histogram":
            parts = ("bucket", "sum", "count") if self.summed else ("bucket", "count")
            return tuple(f"{self.name}_{part}" for part in parts)
        return (self.name,)


# Triton's own, of those that it exports for every model.
_OF_MODEL = ("model", "version")
_SERVER = (
    ("nv_inference_request_success", "counter", _OF_MODEL, "Requests that a model answered"),
    ("nv_inference_request_failure", "counter", (*_OF_MODEL, "reason"), "Requests that failed at a model"),
    ("nv_inference_queue_duration_us", "counter", _OF_MODEL, "Microseconds that requests waited for a model"),
    ("nv_inference_compute_infer_duration_us", "counter", _OF_MODEL, "Microseconds of computation"),
    ("nv_inference_pending_request_count", "gauge", _OF_MODEL, "Requests waiting for a model"),
    (
        "nv_cache_num_hits_per_model",
        "counter",
        _OF_MODEL,
        "Cache hits of `classifier`; classifications for gateways are in `router`",
    ),
    (
        "nv_cache_num_misses_per_model",
        "counter",
        _OF_MODEL,
        "Cache misses of `classifier`: classifications that it computed",
    ),
    ("nv_cpu_utilization", "gauge", (), "Share of the machine's CPUs in use"),
    ("nv_cpu_memory_used_bytes", "gauge", (), "Memory of the machine in use"),
)


@cache
def catalogue() -> tuple[Metric, ...]:
    """All metrics, the gateway's first, then our Triton models', then the server's own."""
    ours = (
        # prometheus_client leaves out the sum of values that may be below 0.
        Metric(
            m.name, m.kind, m.labels, m.meaning, m.source, m.source == "triton" or not m.buckets or m.buckets[0] >= 0
        )
        for m in declared.ALL
    )
    return (*ours, *(Metric(name, kind, labels, meaning, "server") for name, kind, labels, meaning in _SERVER))


_NAME = re.compile(r"\b((?:llm_router|nv)_[a-z0-9_]+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r"([a-z_]+)\s*(?:=~|!~|!=|=)")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left)\s*\(([^)]*)\)")


def used(expression: str) -> tuple[set[str], set[str]]:
    """(series names, label names) that a PromQL expression reads."""
    names, labels = set(), set()
    for name, matchers in _NAME.findall(expression):
        names.add(name)
        labels |= set(_MATCHER.findall(matchers))
    for group in _GROUPING.findall(expression):
        labels |= {label.strip() for label in group.split(",") if label.strip()}
    return names, labels


def unknown(expression: str) -> list[str]:
    """What an expression reads that no metric of the catalogue has: series, and labels of none of its series."""
    known = {series: metric for metric in catalogue() for series in metric.series}
    names, labels = used(expression)
    missing = sorted(names - set(known))
    allowed = {"le", "job", "instance"}.union(*(known[name].labels for name in names - set(missing)))
    return missing + sorted(labels - allowed)
