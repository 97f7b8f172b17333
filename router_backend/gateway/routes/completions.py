"""`/v1/chat/completions`, `/v1/completions`, `/v1/embeddings`: who asks, and the pipeline that answers."""

from __future__ import annotations

from prometheus_client import Gauge

from router_backend.forwarding.request import Endpoint
from router_backend.gateway.completion import CompletionPipeline
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.runtime import Runtimes


class CompletionsHandler:
    """POST of one of the three endpoints."""

    def __init__(self, endpoint: Endpoint, runtimes: Runtimes, pipeline: CompletionPipeline, in_flight: Gauge) -> None:
        self._endpoint, self._runtimes, self._pipeline, self._in_flight = endpoint, runtimes, pipeline, in_flight

    async def __call__(self, exchange: Exchange) -> None:
        with self._runtimes.current as runtime:
            key = runtime.keys.admit(exchange, "chat")
            runtime.keys.afford(key)
            limits = runtime.config.gateway
            raw = await exchange.body(limits.max_body_bytes, limits.body_seconds)
            with self._in_flight.track_inprogress():
                await exchange.while_connected(self._pipeline.complete(exchange, raw, self._endpoint, key, runtime))
