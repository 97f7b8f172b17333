"""`/v1/admin/…`: what the operator's console shows, for the scope `admin`."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from router_backend.core.records import Place
from router_backend.gateway.console import views
from router_backend.gateway.console.questions import Questions
from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange, Handler
from router_backend.gateway.router_host import RouterHost
from router_backend.gateway.routes.pages import limit_of, query_of
from router_backend.gateway.runtime import Runtime, Runtimes
from router_backend.state.decision_rows import Wanted

PATHS = ("decisions", "models", "learning", "spending")
_AT_ONCE, _MOST_AT_ONCE = 50, 200
_SPAN = re.compile(r"(\d{1,4})([mhdw])")
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}
_LONGEST_ID = 64
_LONGEST_TEXT = 200
Shown = Callable[[Exchange, Runtime], Awaitable[dict[str, Any]]]


class ConsoleHandlers:
    """Pages of the console as JSON. They are read from the state that all gateways share; but for the breakers, which each
    gateway has for itself."""

    def __init__(self, runtimes: Runtimes, router: RouterHost) -> None:
        self._runtimes, self._questions = runtimes, Questions(router)

    def routes(self) -> dict[str, dict[str, Handler]]:
        """By path and method."""
        pages = {
            "/v1/admin": self.index,
            "/v1/admin/decisions": self.decisions,
            "/v1/admin/decisions/*": self.decision,
            "/v1/admin/models": self.models,
            "/v1/admin/learning": self.learning,
            "/v1/admin/spending": self.spending,
        }
        return {path: {"GET": self._handler(show)} for path, show in pages.items()}

    def _handler(self, show: Shown) -> Handler:
        async def handle(exchange: Exchange) -> None:
            runtime = self._runtimes.current
            runtime.keys.admit(exchange, "admin")
            await exchange.json(await show(exchange, runtime))

        return handle

    async def index(self, exchange: Exchange, runtime: Runtime) -> dict[str, Any]:
        """What there is; whoever is answered may read it."""
        return {"object": "router.admin", "pages": [f"/v1/admin/{path}" for path in PATHS] + ["/admin/config"]}

    async def decisions(self, exchange: Exchange, runtime: Runtime) -> dict[str, Any]:
        """A page of decisions of all gateways, the latest first."""
        query = query_of(exchange)
        wanted = Wanted(
            start=time.time() - _seconds(query, "1d"),
            limit=limit_of(query, _AT_ONCE, _MOST_AT_ONCE),
            key=_text(query, "key"),
            model=_text(query, "model"),
            task=_text(query, "task"),
            reason=_text(query, "reason"),
            cost_from=_number(query, "cost_from"),
            score_from=_number(query, "score_from"),
            score_to=_number(query, "score_to"),
        )
        found = await self._questions.latest(wanted, _place(query))
        following = f"{found.next.created!r}_{found.next.decision_id}" if found.next else None
        return {"object": "list", "data": [views.row(row) for row in found.rows], "next": following}

    async def decision(self, exchange: Exchange, runtime: Runtime) -> dict[str, Any]:
        """One decision in full."""
        decision_id = exchange.path.rpartition("/")[2]
        found = await self._questions.one(decision_id) if len(decision_id) <= _LONGEST_ID else None
        if found is None:
            message = "No decision with this id: never made, not yet stored, or past its retention"
            raise ApiError(404, message, code="decision_not_found")
        return views.decision(found, runtime.config)

    async def models(self, exchange: Exchange, runtime: Runtime) -> dict[str, Any]:
        """Health, speed, cost and share of each model."""
        traffic, whole = await self._questions.traffic(_seconds(query_of(exchange), "1h"))
        return views.models(traffic, whole, runtime.config, dict(runtime.engine.health()))

    async def learning(self, exchange: Exchange, runtime: Runtime) -> dict[str, Any]:
        """Quality and cost by model and task, changes, and where scores come from."""
        traffic, whole = await self._questions.traffic(_seconds(query_of(exchange), "1d"))
        return views.learning(traffic, whole, await self._questions.changes())

    async def spending(self, exchange: Exchange, runtime: Runtime) -> dict[str, Any]:
        """By key, against budgets and limits."""
        traffic, whole = await self._questions.traffic(_seconds(query_of(exchange), "1d"))
        day, month, spend = await self._questions.spent()
        return views.spending(traffic, whole, runtime.config, day, month, spend)


def _seconds(query: dict[str, str], default: str) -> float:
    found = _SPAN.fullmatch(query.get("since", default))
    if found is None or int(found[1]) == 0:
        raise ApiError(
            400, "'since' must be a number with m, h, d or w, such as 1d", code="invalid_value", param="since"
        )
    return int(found[1]) * _UNITS[found[2]]


def _number(query: dict[str, str], name: str) -> float | None:
    """None where it isn't given. Raises ApiError (400): it is no number."""
    if name not in query:
        return None
    try:
        value = float(query[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ApiError(400, f"'{name}' must be a number", code="invalid_value", param=name)
    return value


def _text(query: dict[str, str], name: str) -> str:
    return query.get(name, "")[:_LONGEST_TEXT]


def _place(query: dict[str, str]) -> Place | None:
    """Where a page begins: `next` of the one before."""
    text = query.get("before", "")
    if not text:
        return None
    created, mark, decision_id = text.partition("_")
    try:
        at = float(created)
    except ValueError:
        at = math.nan
    if not mark or not math.isfinite(at) or len(decision_id) > _LONGEST_ID:
        raise ApiError(400, "'before' must be the 'next' of another page", code="invalid_value", param="before")
    return Place(at, decision_id)
