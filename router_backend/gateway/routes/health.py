"""`/health/live` and `/health/ready`: open to everybody, for probes; they hold no content."""

from __future__ import annotations

from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.journal import Journal
from router_backend.gateway.outcome_queue import OutcomeQueue
from router_backend.gateway.runtime import Runtimes
from router_backend.gateway.triton_client import TritonClient


async def live(exchange: Exchange) -> None:
    """200: the process runs."""
    await exchange.json({"status": "live"})


_STATE_SECONDS = 0.5


class ReadyHandler:
    """200 only when a routed request would succeed: `route` decides, and an upstream takes requests.

    `state` says whether feedback and outcomes are stored now, `journal` whether outcomes survive this process meanwhile
    (null: none is kept). Requests succeed without, so neither decides.
    """

    def __init__(
        self, runtimes: Runtimes, triton: TritonClient, outcomes: OutcomeQueue, journal: Journal | None
    ) -> None:
        self._runtimes, self._triton, self._outcomes, self._journal = runtimes, triton, outcomes, journal

    async def __call__(self, exchange: Exchange) -> None:
        routing = await self._triton.decides()
        upstreams = dict(self._runtimes.current.engine.health())
        ready = routing and any(state != "open" for state in upstreams.values())
        status = {
            "status": "ready" if ready else "not ready",
            "route": routing,
            "state": await self._outcomes.refresh(_STATE_SECONDS),
            "journal": (self._journal.failure or "written") if self._journal else None,
            "upstreams": upstreams,
        }
        await exchange.json(status, 200 if ready else 503, [] if ready else [(b"retry-after", b"1")])
