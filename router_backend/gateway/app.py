"""The gateway as an ASGI application: one table of routes, no middleware."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from router_backend.config import ConfigError, RouterConfig
from router_backend.config.runtime import runtime_config
from router_backend.forwarding.api import Engine
from router_backend.forwarding.engine import build_engine
from router_backend.gateway import admin, feedback, health, models, openapi, playground
from router_backend.gateway.access import log_access
from router_backend.gateway.auth import Ledger
from router_backend.gateway.completions import Completions
from router_backend.gateway.errors import ApiError, ClientGone
from router_backend.gateway.exchange import Exchange, Receive, Scope, Send
from router_backend.gateway.memory import Recent, Remembered
from router_backend.gateway.metrics import EngineMetrics, Metrics
from router_backend.gateway.reports import Reporter
from router_backend.gateway.runtime import Runtime
from router_backend.gateway.traces import Traces
from router_backend.gateway.triton import TritonClient

Handler = Callable[[Exchange], Awaitable[None]]
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
        self.ledger = Ledger()
        self.sessions: Recent[tuple[str, str], str] = Recent(limits.sessions_kept)
        self.decisions: Recent[str, Remembered] = Recent(limits.decisions_kept)
        self._tasks: set[asyncio.Task[None]] = set()
        self._routes = self._table()
        endpoint = settings.config.telemetry.otlp_endpoint
        self.traces = Traces(endpoint) if endpoint else None
        # Checked here, before the port is open: a key file that is missing is a start that fails.
        self._first_engine = self._engine(settings.config)

    async def open(self) -> None:
        """Start what runs in the background."""
        self.runtime = Runtime(self.settings.config, self._first_engine, self.ledger)
        self.triton = TritonClient(self.settings.triton_url)
        self.reporter = Reporter(self.triton, self.settings.config.gateway.reports_kept, self.metrics.reports_lost.inc)
        self.metrics.watch(lambda: self.runtime.engine.health(), lambda: self.reporter.depth)
        self._background(self.metrics.sample_lag())

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
        old, self.runtime = self.runtime, Runtime(config, engine, self.ledger)
        self._background(old.retire(config.timeouts.total))
        _log.info("configuration loaded again")
        return config

    def reload_or_log(self) -> None:
        """`reload` for SIGHUP: a mistake is logged."""
        try:
            self.reload()
        except ConfigError as error:
            _log.error("the configuration in use stays: %s", error)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._serve(Exchange(scope, receive, send))

    async def _serve(self, exchange: Exchange) -> None:
        route = "none"
        try:
            route, handler = self._find(exchange.method, exchange.path)
            await handler(exchange)
        except ClientGone:
            exchange.status = exchange.status or 499
        except ApiError as error:
            await exchange.fail(error)
        except Exception as error:
            # Without its message, which may repeat what the client sent.
            where = "".join(traceback.format_tb(error.__traceback__))
            _log.error("request %s failed: %s\n%s", exchange.request_id, type(error).__name__, where)
            if exchange.begun:
                raise _Broken from None  # the connection is cut: a normal end would look like a whole answer
            await exchange.fail(ApiError(500, "The gateway failed", type="server_error", code="internal_error"))
        finally:
            self.metrics.responses.labels(route, exchange.status).inc()
            if self.runtime.config.gateway.access_log:
                log_access(exchange, route)

    def _find(self, method: str, path: str) -> tuple[str, Handler]:
        methods = self._routes.get(path)
        if methods is None:
            prefix = path.rpartition("/")[0] if not path.startswith("/v1/models/") else "/v1/models"
            path = f"{prefix}/*"
            methods = self._routes.get(path)
        if methods is None:
            raise ApiError(404, "Unknown URL; GET /openapi.json lists all", code="unknown_url")
        handler = methods.get("GET" if method == "HEAD" else method)
        if handler is None:
            allow = [(b"allow", ", ".join(methods).encode())]
            raise ApiError(405, f"{method} is not allowed here", code="method_not_allowed", headers=allow)
        return path, handler

    def _table(self) -> dict[str, dict[str, Handler]]:
        table: dict[str, dict[str, Handler]] = {
            "/v1/chat/completions": {"POST": Completions(self, "chat/completions")},
            "/v1/completions": {"POST": Completions(self, "completions")},
            "/v1/embeddings": {"POST": Completions(self, "embeddings")},
        }
        for module in (models, feedback, health, admin, openapi, playground):
            for (method, path), handler in module.routes(self).items():
                table.setdefault(path, {})[method] = handler
        return table

    def _engine(self, config: RouterConfig) -> Engine:
        return build_engine(config, observer=EngineMetrics(self.metrics))

    def _background(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.open()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return


class _Broken(Exception):
    """Tells the server to cut a connection whose response has begun."""


def create_app(settings: GatewaySettings) -> Gateway:
    """The ASGI application (`lifespan` is needed).

    Raises:
        ValueError: an upstream's key, tokenizer or address is missing, or the extra that traces need.
    """
    return Gateway(settings)
