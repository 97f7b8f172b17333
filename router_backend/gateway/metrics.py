"""The gateway counts what core/metrics.py declares for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from router_backend import distribution
from router_backend.core import metrics as declared
from router_backend.core.decision import RoutedDecision
from router_backend.core.errors import Cause
from router_backend.core.metrics import Declared
from router_backend.core.records import Outcome
from router_backend.forwarding.observer import Observer
from router_backend.gateway.hosts.fallback import IN_PROCESS
from router_backend.gateway.tallies import Count, Labelled, Level, Spread, Tallies
from router_backend.gateway.workers.counts import Together, keep_in_files

_MINUTE, _SECOND = 60.0, 1.0
BACKGROUND = ("batches", "budgets", "discovery", "lag", "memory", "outcomes", "rates", "review", "scores")
"""The gateway's background work, by its names in metrics."""
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """One registry per application. Labels hold names from the configuration and fixed words, never content."""

    def __init__(self, files: Path | None = None, worker: int = 0) -> None:
        """`files`: a folder that all workers of a gateway keep their values in, `worker` being this one's number; the page is
        of all of them then. None: there is one process, and memory does.
        """
        if files:
            keep_in_files(files, str(worker))
        self._health: Callable[[], Mapping[str, str]] = dict
        self._waiting: Callable[[], int] = int
        self._known: set[str] = set()  # models with a state
        self._tallies = Tallies()
        self._shared = files is not None
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter that nobody reads
        self.registry = CollectorRegistry()
        self.requests = self._counts(declared.REQUESTS)
        self.responses = self._counts(declared.HTTP_RESPONSES)
        self.tokens = self._counts(declared.TOKENS)
        self.cost = self._counts(declared.COST_USD)
        self.savings = self._counts(declared.SAVINGS_USD)
        self.overhead = self._spreads(declared.OVERHEAD_SECONDS)
        self.decision = self._spread(declared.DECISION_SECONDS)
        self.request = self._spreads(declared.REQUEST_SECONDS)
        self.first_token = self._spreads(declared.FIRST_TOKEN_SECONDS)
        self.inter_token = self._spreads(declared.INTER_TOKEN_SECONDS)
        self.in_flight = self._tallies.level(self._gauge(declared.IN_FLIGHT_REQUESTS))
        self.routing_fallbacks = self._counts(declared.ROUTING_FALLBACKS)
        self.upstream_fallbacks = self._counts(declared.UPSTREAM_FALLBACKS)
        self.upstream_failures = self._counts(declared.UPSTREAM_FAILURES)
        self.upstream_retries = self._counts(declared.UPSTREAM_RETRIES)
        self.upstream_running = self._tallies.levels(self._gauge(declared.UPSTREAM_RUNNING))
        self.upstream_queued = self._tallies.levels(self._gauge(declared.UPSTREAM_QUEUED))
        self.feedback = self._counts(declared.FEEDBACK_REQUESTS)
        self.reward = self._spread(declared.FEEDBACK_REWARD)
        self.lag = self._spread(declared.EVENT_LOOP_LAG)
        self._stalls = [0.0, 0.0]  # the longest of this minute and of the one before
        self._stall = self._gauge(declared.EVENT_LOOP_STALL, "livemax")
        self._state = self._gauge(declared.UPSTREAM_STATE, "livemax")
        self.reports_waiting = self._gauge(declared.REPORTS_WAITING)
        self._rates_away = self._gauge(declared.RATES_AWAY, "livemax")
        self.background_failures = self._counts(declared.BACKGROUND_FAILURES)
        for work in BACKGROUND:
            self.background_failures.labels(work)
        self.journal_failures = self._count(declared.JOURNAL_FAILURES)
        self.reports_lost = self._count(declared.REPORTS_LOST)
        self.responses_not_stored = self._counts(declared.RESPONSES_NOT_STORED)
        self.signals = self._counts(declared.SIGNALS)
        self.reviews_dropped = self._count(declared.REVIEWS_DROPPED)
        self.scores_lost = self._count(declared.SCORES_LOST)
        self.judge_graded = self._counts(declared.JUDGE_GRADED)
        self.judge_compared = self._counts(declared.JUDGE_COMPARED)
        self.judge_dropped = self._counts(declared.JUDGE_DROPPED)
        self.judge_usd = self._counts(declared.JUDGE_USD)
        self.batch_lines = self._counts(declared.BATCH_LINES)
        self.batches = self._counts(declared.BATCHES)
        self.upstream_batches = self._counts(declared.UPSTREAM_BATCHES)
        self.batches_running = self._gauge(declared.BATCHES_RUNNING)
        self._gauge(declared.BUILD_INFO, "livemax").labels(_version()).set(1)
        self._gauge(declared.WORKERS).set(1)
        self._counts(declared.WORKER_RESTARTS)
        self._page = self.registry
        if files:
            self._page = CollectorRegistry()
            self._page.register(Together(files))

    def _count(self, metric: Declared) -> Count:
        return self._tallies.count(self._counter(metric))

    def _counts(self, metric: Declared) -> Labelled[Count]:
        return self._tallies.counts(self._counter(metric))

    def _spread(self, metric: Declared) -> Spread:
        return self._tallies.spread(self._histogram(metric))

    def _spreads(self, metric: Declared) -> Labelled[Spread]:
        return self._tallies.spreads(self._histogram(metric))

    def _counter(self, metric: Declared) -> Counter:
        return Counter(metric.name, metric.meaning, metric.labels, registry=self.registry)

    def _gauge(self, metric: Declared, of_workers: Literal["livesum", "livemax"] = "livesum") -> Gauge:
        return Gauge(metric.name, metric.meaning, metric.labels, registry=self.registry, multiprocess_mode=of_workers)

    def _histogram(self, metric: Declared) -> Histogram:
        return Histogram(metric.name, metric.meaning, metric.labels, buckets=metric.buckets, registry=self.registry)

    def decided(self, decision: RoutedDecision, seconds: float) -> None:
        """Count one decision. `seconds`: that Triton took for it, 0 where it wasn't asked."""
        if seconds:
            self.decision.observe(seconds)
        if decision.reason.startswith("fallback:"):
            self.routing_fallbacks.labels(decision.reason.removeprefix("fallback:")).inc()
        elif (place := decision.reason.find(f":{IN_PROCESS}:")) >= 0:
            self.routing_fallbacks.labels(decision.reason[place + 1 :]).inc()

    def completion(
        self, decision: RoutedDecision, outcome: Outcome, savings: float | None, *, timed: bool = True
    ) -> None:
        """Count one completion when it has ended. `timed`: it was answered while somebody waited."""
        model, usage = outcome.served, outcome.usage
        reason = decision.reason.partition(":")[0]
        answered = (model, decision.task, decision.policy_version)
        self.requests.labels(model, decision.task, reason, outcome.status, decision.policy_version).inc()
        for kind in ("prompt", "cached", "cache_write", "completion", "reasoning"):
            if count := getattr(usage, kind):
                self.tokens.labels(*answered, kind).inc(count)
        if outcome.cost:
            self.cost.labels(*answered).inc(outcome.cost)
        if savings:
            self.savings.labels(*answered).inc(savings)
        if timed:
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

    def failed(self, work: str) -> None:
        """Count an error of background work."""
        self.background_failures.labels(work).inc()

    def rates_away(self, away: bool) -> None:
        """Whether this gateway holds its fair share of keys' rates by itself."""
        self._rates_away.set(float(away))

    def watch(self, health: Callable[[], Mapping[str, str]], waiting: Callable[[], int]) -> None:
        """Export breaker states and waiting reports as they are when metrics are read."""
        self._health, self._waiting = health, waiting

    def refresh(self) -> None:
        """Put down what was counted since the last time, and what is read and not counted. `text` does it for this process."""
        self._tallies.put_down()
        self._stall.set(max(self._stalls))
        self.reports_waiting.set(self._waiting())
        health = self._health()
        for model in self._known - health.keys():
            for state in declared.UPSTREAM_STATES:
                self._state.labels(model, state).set(0)
                self._state.remove(model, state)
        for model, current in health.items():
            for state in declared.UPSTREAM_STATES:
                self._state.labels(model, state).set(float(state == current))
        self._known = set(health)

    def put_down(self) -> None:
        """Tell the page of all workers what this one has counted, before it ends."""
        self._tallies.put_down()

    def text(self) -> bytes:
        """The exposition format."""
        self.refresh()
        return generate_latest(self._page)

    async def sample_lag(self, every: float = 0.05) -> None:
        """Measure the event loop's lag, and its longest stall to within `every`, for as long as the task lives."""
        minute, second = time.monotonic() + _MINUTE, 0.0
        while True:
            due = time.monotonic() + every
            await asyncio.sleep(every)
            now = time.monotonic()
            lag = max(0.0, now - due)
            self.lag.observe(lag)
            if self._shared and now >= second:  # what a killed worker has counted is on the page all the same
                self._tallies.put_down()
                second = now + _SECOND
            if now >= minute:
                self._stalls, minute = [0.0, self._stalls[0]], now + _MINUTE
            self._stalls[0] = max(self._stalls[0], lag)


class EngineMetrics(Observer):
    """What the forwarding engine tells of its upstreams."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._loads: dict[str, tuple[Level, Level]] = {}  # by arm

    def failed(self, arm: str, cause: Cause) -> None:
        self._metrics.upstream_failures.labels(arm, cause.label).inc()

    def retry(self, arm: str, cause: Cause) -> None:
        self._metrics.upstream_retries.labels(arm).inc()

    def load(self, arm: str, running: int, queued: int) -> None:
        levels = self._loads.get(arm)
        if levels is None:
            metrics = self._metrics
            levels = self._loads[arm] = (metrics.upstream_running.labels(arm), metrics.upstream_queued.labels(arm))
        levels[0].value, levels[1].value = running, queued


def _version() -> str:
    try:
        return version(distribution.NAME)
    except PackageNotFoundError:
        return "source"
