"""Every metric of the gateway, in one place: dashboards and alerts are generated from these declarations."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from router_backend.core.decision import RoutedDecision
from router_backend.core.errors import Cause
from router_backend.core.records import Outcome
from router_backend.forwarding.observer import Observer

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_FAST = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1)
_ANSWER = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)
_FIRST = (0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 30)
_TOKEN = (0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1)
STATES = ("closed", "half_open", "open")


class Metrics:
    """One registry per application. Labels hold names from the configuration and fixed words, never content."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter that nobody reads
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "llm_router_requests",
            "Completion and embedding requests that ended. reason_class: policy, explore, named, fallback, …;"
            " status: the HTTP status, 499 when the client left first.",
            ("model", "task", "reason_class", "status", "policy_version"),
            registry=registry,
        )
        self.responses = Counter(
            "llm_router_http_responses",
            "All HTTP responses, health checks included.",
            ("route", "status"),
            registry=registry,
        )
        self.tokens = Counter(
            "llm_router_tokens",
            "Tokens as upstreams counted them. cached is part of prompt, reasoning is part of completion.",
            ("model", "task", "policy_version", "kind"),
            registry=registry,
        )
        answered = ("model", "task", "policy_version")
        self.cost = Counter("llm_router_cost_usd", "Cost of answers in USD.", answered, registry=registry)
        self.savings = Counter(
            "llm_router_savings_usd",
            "What the same tokens would have cost more at the dearest model, in USD.",
            answered,
            registry=registry,
        )
        self.overhead = Histogram(
            "llm_router_overhead_seconds",
            "Time that the gateway added: the whole request less the upstream's part.",
            ("reason_class",),
            buckets=_FAST,
            registry=registry,
        )
        self.decision = Histogram(
            "llm_router_decision_seconds",
            "Time until a decision was there, Triton's call included; the deadline bounds it.",
            buckets=_FAST,
            registry=registry,
        )
        self.request = Histogram(
            "llm_router_request_seconds",
            "Whole requests, first byte in to last byte out.",
            ("model", "streamed"),
            buckets=_ANSWER,
            registry=registry,
        )
        self.first_token = Histogram(
            "llm_router_first_token_seconds",
            "Upstream call to first token, of streamed answers.",
            ("model",),
            buckets=_FIRST,
            registry=registry,
        )
        self.inter_token = Histogram(
            "llm_router_inter_token_seconds",
            "Mean time between the tokens of one streamed answer.",
            ("model",),
            buckets=_TOKEN,
            registry=registry,
        )
        self.in_flight = Gauge("llm_router_in_flight_requests", "Requests that are being answered.", registry=registry)
        self.routing_fallbacks = Counter(
            "llm_router_routing_fallbacks",
            "Requests that took the default model because routing failed or was late.",
            ("cause",),
            registry=registry,
        )
        self.upstream_fallbacks = Counter(
            "llm_router_upstream_fallbacks",
            "Answers that came from another model than the chosen one, by the chosen model.",
            ("model", "served"),
            registry=registry,
        )
        self.upstream_failures = Counter(
            "llm_router_upstream_failures", "Failed calls of upstreams.", ("model", "cause"), registry=registry
        )
        self.upstream_retries = Counter(
            "llm_router_upstream_retries", "Second and later calls of the same upstream.", ("model",), registry=registry
        )
        self.upstream_running = Gauge(
            "llm_router_upstream_running_requests", "Calls that an upstream works on.", ("model",), registry=registry
        )
        self.upstream_queued = Gauge(
            "llm_router_upstream_queued_requests",
            "Calls that wait for a free place (max_concurrency) of an upstream.",
            ("model",),
            registry=registry,
        )
        self.feedback = Counter(
            "llm_router_feedback_requests",
            "Calls of /v1/feedback. result: accepted, unknown_decision, refused, unavailable.",
            ("result",),
            registry=registry,
        )
        self.reward = Histogram(
            "llm_router_feedback_reward",
            "Rewards that accepted feedback taught.",
            buckets=(-0.5, 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1),
            registry=registry,
        )
        self.lag = Histogram(
            "llm_router_event_loop_lag_seconds",
            "How late the event loop woke up, sampled twice a second.",
            buckets=_FAST,
            registry=registry,
        )
        self.reports_waiting = Gauge(
            "llm_router_reports_waiting", "Outcomes not yet durable in the state store.", registry=registry
        )
        self.reports_lost = Counter(
            "llm_router_reports_lost", "Outcomes dropped because Triton was away for too long.", registry=registry
        )
        build = Gauge("llm_router_build_info", "Always 1; the version is the label.", ("version",), registry=registry)
        build.labels(_version()).set(1)

    def completion(self, decision: RoutedDecision, outcome: Outcome, savings: float | None) -> None:
        """Count one completion when it has ended."""
        model, usage = outcome.served, outcome.usage
        reason = decision.reason.partition(":")[0]
        answered = (model, decision.task, decision.policy_version)
        self.requests.labels(model, decision.task, reason, outcome.status, decision.policy_version).inc()
        for kind in ("prompt", "cached", "completion", "reasoning"):
            if count := getattr(usage, kind):
                self.tokens.labels(*answered, kind).inc(count)
        if outcome.cost:
            self.cost.labels(*answered).inc(outcome.cost)
        if savings:
            self.savings.labels(*answered).inc(savings)
        self.request.labels(model, "true" if outcome.streamed else "false").observe(outcome.latency)
        if outcome.upstream is not None:
            self.overhead.labels(reason).observe(max(0.0, outcome.latency - outcome.upstream))
        if outcome.first_token is not None:
            self.first_token.labels(model).observe(outcome.first_token)
            if outcome.upstream is not None and usage.completion > 1:
                between = (outcome.upstream - outcome.first_token) / (usage.completion - 1)
                self.inter_token.labels(model).observe(between)
        if decision.model != model:
            self.upstream_fallbacks.labels(decision.model, model).inc()

    def watch(self, health: Callable[[], Mapping[str, str]], waiting: Callable[[], int]) -> None:
        """Export breaker states and waiting reports as they are when metrics are read."""
        self.registry.register(_Upstreams(health))
        self.reports_waiting.set_function(waiting)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)

    async def sample_lag(self, every: float = 0.5) -> None:
        """Measure the event loop's lag for as long as the task lives."""
        while True:
            due = time.monotonic() + every
            await asyncio.sleep(every)
            self.lag.observe(max(0.0, time.monotonic() - due))


class EngineMetrics(Observer):
    """What the forwarding engine tells of its upstreams."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def failed(self, arm: str, cause: Cause) -> None:
        self._metrics.upstream_failures.labels(arm, cause.label).inc()

    def retry(self, arm: str, cause: Cause) -> None:
        self._metrics.upstream_retries.labels(arm).inc()

    def load(self, arm: str, running: int, queued: int) -> None:
        self._metrics.upstream_running.labels(arm).set(running)
        self._metrics.upstream_queued.labels(arm).set(queued)


class _Upstreams(Collector):
    """`llm_router_upstream_state`: one series per model and state, 1 for the state that it is in."""

    def __init__(self, health: Callable[[], Mapping[str, str]]) -> None:
        self._health = health

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "llm_router_upstream_state",
            "Circuit breaker of each upstream: closed (healthy), half_open (probing), open (not asked).",
            labels=("model", "state"),
        )
        for model, current in self._health().items():
            for state in STATES:
                family.add_metric((model, state), float(state == current))
        yield family


def _version() -> str:
    try:
        return version("llm-router")
    except PackageNotFoundError:
        return "source"
