"""`/health/live` and `/health/ready`: open to everybody, for probes; they hold no content."""

from __future__ import annotations

from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.runtime import Runtimes
from router_backend.gateway.triton_client import TritonClient


async def live(exchange: Exchange) -> None:
    """200: the process runs."""
    await exchange.json({"status": "live"})


class ReadyHandler:
    """200 only when a routed request would succeed: `route` takes requests, and an upstream does."""

    def __init__(self, runtimes: Runtimes, triton: TritonClient) -> None:
        self._runtimes, self._triton = runtimes, triton

    async def __call__(self, exchange: Exchange) -> None:
        routing = await self._triton.ready("route")
        upstreams = dict(self._runtimes.current.engine.health())
        ready = routing and any(state != "open" for state in upstreams.values())
        status = {"status": "ready" if ready else "not ready", "route": routing, "upstreams": upstreams}
        await exchange.json(status, 200 if ready else 503, [] if ready else [(b"retry-after", b"1")])
