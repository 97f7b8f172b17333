"""`/metrics`: open to everybody, for scrapers; it holds no content."""

from __future__ import annotations

from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.metrics import CONTENT_TYPE, Metrics


class MetricsHandler:
    """GET in Prometheus' text format."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.respond(200, self._metrics.text(), content_type=CONTENT_TYPE)
