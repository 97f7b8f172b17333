"""`/metrics`: open to everybody, for scrapers; it holds no content."""

from __future__ import annotations

from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.metrics import CONTENT_TYPE, Metrics
from router_backend.gateway.workers.siblings import Siblings

_SECONDS = 1.0


class MetricsHandler:
    """GET in Prometheus' text format: of all workers of this gateway, whichever is asked."""

    def __init__(self, metrics: Metrics, siblings: Siblings | None) -> None:
        self._metrics, self._siblings = metrics, siblings

    async def __call__(self, exchange: Exchange) -> None:
        if self._siblings:  # each puts down what it has counted; of one that doesn't answer the last second is missing
            await self._siblings.all("gauges", _SECONDS)
        await exchange.respond(200, self._metrics.text(), content_type=CONTENT_TYPE)
