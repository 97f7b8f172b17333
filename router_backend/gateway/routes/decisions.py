"""`/v1/decisions/{id}`: a recent decision in full, and what came of it."""

from __future__ import annotations

from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.memory import Decisions
from router_backend.gateway.runtime import Runtimes
from router_backend.gateway.workers.siblings import Siblings


class DecisionHandler:
    """GET of one decision, by the key that it was made for."""

    def __init__(self, runtimes: Runtimes, decisions: Decisions, siblings: Siblings | None) -> None:
        self._runtimes, self._decisions, self._siblings = runtimes, decisions, siblings

    async def __call__(self, exchange: Exchange) -> None:
        runtime = self._runtimes.current
        runtime.keys.admit(exchange, "chat")
        decision_id = exchange.path.rpartition("/")[2]
        remembered = self._decisions.find(decision_id)
        if remembered is None and self._siblings:
            remembered, _ = await self._siblings.decision(decision_id)
        if remembered is None or remembered.key != exchange.key:
            size = runtime.config.gateway.decisions_kept
            raise ApiError(404, f"Not among the last {size} decisions of this gateway", code="decision_not_found")
        await exchange.json(remembered.public())
