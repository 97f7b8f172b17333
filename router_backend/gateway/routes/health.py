"""`/health/live`, `/health/ready` and `/metrics`: open to everybody, for probes and scrapers; they hold no content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from router_backend.gateway.service import Gateway, Handler


def routes(gateway: Gateway) -> dict[tuple[str, str], Handler]:
    async def live(exchange: Exchange) -> None:
        await exchange.json({"status": "live"})

    async def ready(exchange: Exchange) -> None:
        """200 only when a routed request would succeed: `route` takes requests, and an upstream does."""
        routing = await gateway.triton.ready("route")
        upstreams = dict(gateway.runtime.engine.health())
        fine = routing and any(state != "open" for state in upstreams.values())
        status = {"status": "ready" if fine else "not ready", "route": routing, "upstreams": upstreams}
        await exchange.json(status, 200 if fine else 503, [] if fine else [(b"retry-after", b"1")])

    async def metrics(exchange: Exchange) -> None:
        await exchange.respond(200, gateway.metrics.text(), content_type=CONTENT_TYPE)

    return {("GET", "/health/live"): live, ("GET", "/health/ready"): ready, ("GET", "/metrics"): metrics}
