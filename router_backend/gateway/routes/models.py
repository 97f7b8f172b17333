"""`/v1/models`, `/v1/decisions/{id}` and `/v1/route`: what there is to choose from, what was chosen, what would be."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from router_backend.gateway.hints import take_hints
from router_backend.gateway.http.errors import ApiError, unknown_model
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.memory import Remembered
from router_backend.gateway.plan import AUTO, ask
from router_backend.gateway.schemas import Route, parse
from router_backend.gateway.traces import incoming
from router_backend.gateway.triton_client import TritonError

if TYPE_CHECKING:
    from router_backend.gateway.service import Gateway, Handler

_ROUTE_SECONDS = 2.0  # nobody's answer waits for a decision-only request


def routes(gateway: Gateway) -> dict[tuple[str, str], Handler]:
    created = int(time.time())

    def listed(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": created, "owned_by": "llm-router"}

    async def list_models(exchange: Exchange) -> None:
        gateway.runtime.keys.admit(exchange, "chat")
        names = (AUTO, *gateway.runtime.config.names)
        await exchange.json({"object": "list", "data": [listed(name) for name in names]})

    async def get_model(exchange: Exchange) -> None:
        gateway.runtime.keys.admit(exchange, "chat")
        name, known = exchange.path.removeprefix("/v1/models/"), gateway.runtime.config.names
        if name != AUTO and name not in known:
            raise unknown_model(name, known)
        await exchange.json(listed(name))

    async def get_decision(exchange: Exchange) -> None:
        gateway.runtime.keys.admit(exchange, "chat")
        found = gateway.decisions.get(exchange.path.rpartition("/")[2])
        if found is None or found.key != exchange.key:
            kept = gateway.runtime.config.gateway.decisions_kept
            raise ApiError(404, f"Not among the last {kept} decisions of this gateway", code="decision_not_found")
        await exchange.json(found.public())

    async def route(exchange: Exchange) -> None:
        with gateway.runtime as runtime:
            key = runtime.keys.admit(exchange, "chat")
            limits = runtime.config.gateway
            body = parse(await exchange.body(limits.max_body_bytes, limits.body_seconds), Route)
            hints = take_hints(exchange, body, runtime.config.names)
            if hints.policy:
                runtime.keys.require(key, "policy")
            previous = gateway.sessions.get((exchange.key, hints.session)) if hints.session else None
            body.setdefault("model", AUTO)
            try:
                decision = await ask(
                    body, hints, previous or "", runtime, gateway.triton, _ROUTE_SECONDS, incoming(exchange)
                )
            except TritonError as error:
                if error.code == "INVALID_ARGUMENT":
                    raise ApiError(400, error.message, code="unroutable") from None
                raise ApiError(
                    503,
                    f"Triton's router is not available ({error.cause})",
                    type="server_error",
                    code="routing_unavailable",
                    retry_after=1,
                ) from None
            remembered = Remembered(exchange.key, decision)
            gateway.decisions.put(decision.decision_id, remembered)
            await exchange.json(remembered.public())

    return {
        ("GET", "/v1/models"): list_models,
        ("GET", "/v1/models/*"): get_model,
        ("GET", "/v1/decisions/*"): get_decision,
        ("POST", "/v1/route"): route,
    }
