"""`/v1/decisions/{id}`: a recent decision in full, and what came of it."""

from __future__ import annotations

from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.memory import Decisions
from router_backend.gateway.runtime import Runtimes


class DecisionHandler:
    """GET of one decision, by the key that it was made for."""

    def __init__(self, runtimes: Runtimes, decisions: Decisions) -> None:
        self._runtimes, self._decisions = runtimes, decisions

    async def __call__(self, exchange: Exchange) -> None:
        runtime = self._runtimes.current
        runtime.keys.admit(exchange, "chat")
        remembered = self._decisions.get(exchange.key, exchange.path.rpartition("/")[2])
        if remembered is None:
            size = runtime.config.gateway.decisions_kept
            raise ApiError(404, f"Not among the last {size} decisions of this gateway", code="decision_not_found")
        await exchange.json(remembered.public())
