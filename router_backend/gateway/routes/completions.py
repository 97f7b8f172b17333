"""The endpoints that a model answers: who asks, and the pipeline that answers."""

from __future__ import annotations

from router_backend.gateway.completion import CompletionPipeline
from router_backend.gateway.http.exchange import TRANSLATED, WRITTEN, Exchange
from router_backend.gateway.runtime import Runtimes
from router_backend.gateway.surfaces.surface import Surface
from router_backend.gateway.tallies import Level


class CompletionsHandler:
    """POST of one surface."""

    def __init__(self, surface: Surface, runtimes: Runtimes, pipeline: CompletionPipeline, in_flight: Level) -> None:
        self._surface, self._runtimes, self._pipeline, self._in_flight = surface, runtimes, pipeline, in_flight
        self._copies = TRANSLATED if surface.codec else WRITTEN

    async def __call__(self, exchange: Exchange) -> None:
        exchange.error_shape = self._surface.error
        with self._runtimes.current as runtime:
            key = runtime.keys.admit(exchange, "chat")
            runtime.keys.afford(key)
            limits = runtime.config.gateway
            # Nothing here may keep the body: an answer takes longer than it is needed.
            work = self._pipeline.complete(
                exchange,
                await exchange.body(limits.max_body_bytes, limits.body_seconds, copies=self._copies),
                self._surface,
                key,
                runtime,
            )
            with self._in_flight:
                await exchange.while_connected(work)
