"""A request as the rest of the path reads it: checked, and its hints taken out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from router_backend.config.security import ApiKey
from router_backend.core.tracing import TraceContext
from router_backend.forwarding.request import Endpoint
from router_backend.gateway.hints import ClientHints, take_hints
from router_backend.gateway.http.bodies import off_loop
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.memory import Sessions
from router_backend.gateway.runtime import Runtime
from router_backend.gateway.schemas import Shape, parse
from router_backend.gateway.surfaces.surface import Surface

AUTO = "auto"
"""The model that lets the router choose."""


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One chat, text completion or embedding; no value of it changes on the way."""

    surface: Surface
    body: dict[str, Any]  # the internal request, without our hints
    asked: dict[str, Any]  # the client's own words
    hints: ClientHints
    previous_model: str  # the session's last; empty: none is known
    key: str  # name of the API key
    client: str  # the same, or the client's address where there are no keys
    request_id: str
    trace: TraceContext  # the client's
    size: int  # bytes of the body
    started: float  # time.monotonic() when it came in

    @property
    def endpoint(self) -> Endpoint:
        return self.surface.endpoint


async def read_request(
    exchange: Exchange,
    raw: bytes,
    surface: Surface,
    key: ApiKey | None,
    runtime: Runtime,
    sessions: Sessions,
    shape: Shape | None = None,
) -> CompletionRequest:
    """A request from its raw body. `shape`: of the body, where it isn't the surface's own.

    Raises:
        ApiError: 400, body or hints are malformed; 403, the key may not name a policy.
    """
    asked = await off_loop(len(raw), parse, raw, shape or surface.shape)
    asked.setdefault("model", AUTO)  # only a request for a decision alone may leave it out
    body = await off_loop(len(raw), surface.codec.request, asked) if surface.codec else asked
    hints = take_hints(exchange.headers, body, runtime.config.names)
    if hints.policy:
        runtime.keys.require(key, "policy")
    return CompletionRequest(
        surface=surface,
        body=body,
        asked=asked,
        hints=hints,
        previous_model=sessions.model(exchange.key, hints.session) if hints.session else "",
        key=exchange.key,
        client=exchange.key or exchange.address,
        request_id=exchange.request_id,
        trace=exchange.trace,
        size=len(raw),
        started=exchange.started,
    )
