"""`/v1/route`: a decision alone; nothing is forwarded."""

from __future__ import annotations

from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.memory import Decisions, Sessions
from router_backend.gateway.plan import ask
from router_backend.gateway.request import read_request
from router_backend.gateway.router_host import HostError, RouterHost
from router_backend.gateway.runtime import Runtimes
from router_backend.gateway.schemas import Route
from router_backend.gateway.surfaces.openai import CHAT

_SECONDS = 2.0  # nobody's answer waits for a decision alone


class RouteHandler:
    """POST of a chat request, or of the parts of it that a decision depends on."""

    def __init__(self, runtimes: Runtimes, router: RouterHost, sessions: Sessions, decisions: Decisions) -> None:
        self._runtimes, self._router, self._sessions, self._decisions = runtimes, router, sessions, decisions

    async def __call__(self, exchange: Exchange) -> None:
        with self._runtimes.current as runtime:
            key = runtime.keys.admit(exchange, "chat")
            limits = runtime.config.gateway
            raw = await exchange.body(limits.max_body_bytes, limits.body_seconds)
            request = await read_request(exchange, raw, CHAT, key, runtime, self._sessions, Route)
            try:
                ratio = runtime.bills.ratio
                decision = await ask(request.body, request, runtime, self._router, _SECONDS, request.trace, ratio)
            except HostError as error:
                raise _refusal(error) from None
            await exchange.json(self._decisions.add(exchange.key, decision, request.session).public())


def _refusal(error: HostError) -> ApiError:
    if error.code == "INVALID_ARGUMENT":
        return ApiError(400, error.message, code="unroutable")
    return ApiError(
        503,
        f"Triton's router is not available ({error.cause})",
        type="server_error",
        code="routing_unavailable",
        retry_after=1,
    )
