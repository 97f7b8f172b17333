"""The gateway as an ASGI application: one table of routes, no middleware."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator

from router_backend.core.errors import OpenAIError
from router_backend.gateway.http.access_log import log_access
from router_backend.gateway.http.errors import ApiError, ClientGone
from router_backend.gateway.http.exchange import Exchange, Handler, Receive, Scope, Send
from router_backend.gateway.http.origins import answer_preflight, cors_headers
from router_backend.gateway.service import GatewaySettings, Service

_log = logging.getLogger("llm_router.gateway")


class App:
    """Routes of one `Service`, which it opens and closes with the server (`lifespan` is needed)."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._routes = service.routes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._serve(Exchange(scope, receive, send, self.service.bodies))

    async def _serve(self, exchange: Exchange) -> None:
        route = "none"
        config = self.service.runtimes.current.config
        gateway = config.gateway
        exchange.cors = cors_headers(exchange, gateway.cors_origins)
        try:
            if await answer_preflight(exchange):
                return
            route, handler = self._find(exchange.method, exchange.path)
            await handler(exchange)
        except ClientGone:
            exchange.status = exchange.status or 499
        except ApiError as error:
            await exchange.fail(error.error, error.headers)
        except Exception as error:
            # Without its message, which may repeat what the client sent.
            where = "".join(traceback.format_tb(error.__traceback__))
            _log.error("request %s failed: %s\n%s", exchange.request_id, type(error).__name__, where)
            if exchange.begun:
                raise _Broken from None  # the connection is cut: a normal end would look like a whole answer
            await exchange.fail(OpenAIError("The gateway failed", 500, "server_error", "internal_error"))
        finally:
            exchange.close()
            self.service.metrics.responses.labels(route, exchange.status).inc()
            if gateway.access_log:
                log_access(exchange, route, config.telemetry.cloudwatch_namespace)

    def _find(self, method: str, path: str) -> tuple[str, Handler]:
        if path not in self._routes:
            path = next((pattern for pattern in _patterns(path) if pattern in self._routes), "")
        methods = self._routes.get(path)
        if methods is None:
            raise ApiError(404, "Unknown URL; GET /openapi.json lists all", code="unknown_url")
        handler = methods.get("GET" if method == "HEAD" else method)
        if handler is None:
            allow = [(b"allow", ", ".join(methods).encode())]
            raise ApiError(405, f"{method} is not allowed here", code="method_not_allowed", headers=allow)
        return path, handler

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.service.open()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.service.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _patterns(path: str) -> Iterator[str]:
    """A path as the table of routes may have it."""
    yield path
    if path.startswith("/v1/models/"):
        yield "/v1/models/*"  # names may have slashes
    above, _, last = path.rpartition("/")
    yield f"{above}/*"
    yield f"{above.rpartition('/')[0]}/*/{last}"


class _Broken(Exception):
    """Tells the server to cut a connection whose response has begun."""


def create_app(settings: GatewaySettings) -> App:
    """The ASGI application.

    Raises:
        ValueError: an upstream's key, tokenizer or address is missing, or the extra that traces need.
    """
    return App(Service(settings))
