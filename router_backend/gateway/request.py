"""A request as the rest of the path reads it: checked, and its hints taken out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from router_backend.config import RouterConfig
from router_backend.config.security import ApiKey
from router_backend.core.errors import OpenAIError
from router_backend.core.large import Body, off_loop
from router_backend.core.tracing import TraceContext
from router_backend.forwarding.request import Endpoint, Native
from router_backend.gateway.conversations import Conversation, recognise
from router_backend.gateway.hints import NAMES, ClientHints, take_hints
from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.memory import Sessions
from router_backend.gateway.runtime import Runtime
from router_backend.gateway.schemas import Shape, parse
from router_backend.gateway.stored import Keeping, StoredResponses
from router_backend.gateway.surfaces.native import translated
from router_backend.gateway.surfaces.surface import Surface

AUTO = "auto"
"""The model that lets the router choose."""


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One chat, text completion or embedding; no value of it changes on the way."""

    surface: Surface
    body: dict[str, Any]  # the internal request, without our hints
    asked: dict[str, Any]  # the client's own words
    native: Native | None  # the same, for upstreams that speak the API
    hints: ClientHints
    session: str  # as the client calls it, or as its conversation was recognised; empty: none is known
    conversation: Conversation | None  # None: no chat
    previous_model: str  # the session's last; empty: none is known
    key: str  # name of the API key
    client: str  # the same, or the client's address where there are no keys
    request_id: str
    trace: TraceContext  # the client's
    size: int  # bytes of the body
    started: float  # time.monotonic() when it came in
    keeping: Keeping | None = None  # of its answer; None: it is not stored

    @property
    def repeatable(self) -> bool:
        """Whether the same once more in its session would be asked for again; at a conversation's beginning it may be another's."""
        return bool(self.session) and (bool(self.hints.session) or not (self.conversation and self.conversation.begins))

    @property
    def endpoint(self) -> Endpoint:
        return self.surface.endpoint


async def read_request(
    exchange: Exchange,
    raw: Body,
    surface: Surface,
    key: ApiKey | None,
    runtime: Runtime,
    sessions: Sessions,
    shape: Shape | None = None,
    stored: StoredResponses | None = None,
) -> CompletionRequest:
    """A request from its raw body. `shape`: of the body, where it isn't the surface's own; `stored`: where answers of surfaces
    that are kept go.

    Raises:
        ApiError: 400, body or hints are malformed; 403, the key may not name a policy; 503, what was said before can't be read.
    """
    asked = await off_loop(len(raw), parse, raw, shape or surface.shape, exchange.deployment)
    asked.setdefault("model", AUTO)  # only a request for a decision alone may leave it out
    runtime = runtime.of(asked["model"])
    size, keeping = len(raw), None
    if stored and surface.kept and runtime.config.responses.store:
        continued = await stored.begin(asked, size, exchange.key, runtime.config)
        asked, keeping = continued.asked, continued.keeping
        size += continued.size
    body, refusal = asked, None
    if surface.codec:
        body, refusal = await off_loop(size, translated, surface.codec, asked, size)
    hints = take_hints(exchange.headers, body, runtime.config.names)
    native = _native(exchange, surface, asked, refusal)
    if refusal:
        hints = _able(hints, asked["model"], surface, refusal, runtime.config)
    if hints.policy:
        runtime.keys.require(key, "policy")
    conversation = None
    if surface.endpoint == "chat/completions":
        conversation = await off_loop(len(raw), recognise, exchange.key, body, sessions)
    session, previous = hints.session, ""
    if session:
        previous = sessions.model(exchange.key, session)
    elif conversation:
        session, previous = conversation.name, conversation.previous
    return CompletionRequest(
        surface=surface,
        body=body,
        asked=asked,
        native=native,
        hints=hints,
        session=session,
        conversation=conversation,
        previous_model=previous,
        key=exchange.key,
        client=exchange.key or exchange.address,
        request_id=exchange.request_id,
        trace=exchange.trace,
        size=size,
        started=exchange.started,
        keeping=keeping,
    )


_HEADERS = ("anthropic-version", "anthropic-beta")
_OURS = frozenset(key for _, key in NAMES.values())


def _native(exchange: Exchange, surface: Surface, asked: dict[str, Any], refusal: OpenAIError | None) -> Native | None:
    if surface.native is None:
        return None
    headers = {name: value for name in _HEADERS if (value := exchange.header(name.encode()))}
    metadata = asked.get("metadata")
    if metadata and not _OURS.isdisjoint(metadata):
        asked = {**asked, "metadata": {name: value for name, value in metadata.items() if name not in _OURS}}
    return Native(surface.native, asked, headers, refusal)


def _able(hints: ClientHints, model: str, surface: Surface, refusal: OpenAIError, config: RouterConfig) -> ClientHints:
    """The hints, with no other models allowed than those that take what chat can't say.

    Raises:
        ApiError: 400, there is none.
    """
    able = {each.name for each in config.models if surface.native and each.speaks(surface.native)}
    wanted = (hints.models or config.names) if model == AUTO else (model,)
    models = tuple(name for name in wanted if name in able)
    if not models and (model == AUTO or model in config.names):
        raise ApiError(400, refusal.message, code=refusal.code, param=refusal.param)
    return replace(hints, models=models)
