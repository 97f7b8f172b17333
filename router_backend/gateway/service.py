"""What one gateway process holds and its handlers share: configuration, engine, Triton, reports, metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from router_backend.config import ConfigError, RouterConfig
from router_backend.config.runtime import runtime_config
from router_backend.forwarding.cascade.engine import CascadeEngine
from router_backend.forwarding.engine import build_engine
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.keys.auth import Rates
from router_backend.gateway.keys.budgets import Budgets
from router_backend.gateway.memory import Recent, Remembered
from router_backend.gateway.metrics import EngineMetrics, Metrics
from router_backend.gateway.outcome_queue import Reporter
from router_backend.gateway.runtime import Runtime
from router_backend.gateway.traces import Traces
from router_backend.gateway.triton_client import TritonClient

Handler = Callable[[Exchange], Awaitable[None]]
_BUDGETS_SECONDS = 2.0
_BUDGETS_KNOWN = 2.0  # that a start waits for what was spent before; without Triton it goes on
_log = logging.getLogger("llm_router.gateway")


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """How one gateway process is started."""

    config: RouterConfig
    triton_url: str = "127.0.0.1:8001"  # Triton's gRPC endpoint
    config_path: Path | None = None  # read again by a reload; None: there is nothing to reload


class Gateway:
    """State of one process; everything of it belongs to one event loop, which calls `open` and `aclose`."""

    runtime: Runtime
    triton: TritonClient
    reporter: Reporter

    def __init__(self, settings: GatewaySettings) -> None:
        limits = settings.config.gateway
        self.settings = settings
        self.metrics = Metrics()
        self.rates, self.budgets = Rates(), Budgets()
        self.sessions: Recent[tuple[str, str], str] = Recent(limits.sessions_kept)
        self.decisions: Recent[str, Remembered] = Recent(limits.decisions_kept)
        self._tasks: set[asyncio.Task[None]] = set()
        endpoint = settings.config.telemetry.otlp_endpoint
        self.traces = Traces(endpoint) if endpoint else None
        # Checked here, before the port is open: a key file that is missing is a start that fails.
        self._first_engine = self._engine(settings.config)

    async def open(self) -> None:
        """Start what runs in the background."""
        self.runtime = Runtime(self.settings.config, self._first_engine, self.rates, self.budgets)
        self.triton = TritonClient(self.settings.triton_url)
        kept, lost = self.settings.config.gateway.reports_kept, self.metrics.reports_lost.inc
        self.reporter = Reporter(self.triton, kept, lost, self.budgets.settled)
        self.metrics.watch(lambda: self.runtime.engine.health(), lambda: self.reporter.depth)
        self._background(self.metrics.sample_lag())
        if self.runtime.keys.budgeted:
            await self.reporter.refresh(_BUDGETS_KNOWN)
        self._background(self._follow_budgets())

    async def aclose(self) -> None:
        """Report what is left, and close all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.reporter.aclose()
        await self.runtime.engine.aclose()
        await self.triton.aclose()
        if self.traces:
            await asyncio.to_thread(self.traces.close)

    def reload(self) -> RouterConfig:
        """Read the configuration again and use it from the next request on.

        Raises:
            ConfigError: it can't be used; the one in use stays.
        """
        path = self.settings.config_path
        if path is None:
            raise ConfigError("the gateway was started without a configuration file; restart it instead")
        config = runtime_config(path)
        try:
            engine = self._engine(config)
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from error
        old, self.runtime = self.runtime, Runtime(config, engine, self.rates, self.budgets)
        self._background(old.retire(config.timeouts.total))
        _log.info("configuration loaded again")
        return config

    def reload_or_log(self) -> None:
        """`reload` for SIGHUP: a mistake is logged."""
        try:
            self.reload()
        except ConfigError as error:
            _log.error("the configuration in use stays: %s", error)

    async def _follow_budgets(self) -> None:
        """Hear what other gateways have let keys spend."""
        while True:
            await asyncio.sleep(_BUDGETS_SECONDS)
            if self.runtime.keys.budgeted:
                await self.reporter.refresh(_BUDGETS_SECONDS)

    def _engine(self, config: RouterConfig) -> CascadeEngine:
        return CascadeEngine(build_engine(config, observer=EngineMetrics(self.metrics)))

    def _background(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
