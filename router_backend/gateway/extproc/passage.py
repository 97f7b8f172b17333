"""One request on its way through Envoy: read, decided, marked with its model, and observed until its answer has ended."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from router_backend.config.models import ModelConfig, OpenAIUpstream
from router_backend.core.jsonio import dump
from router_backend.core.large import off_loop
from router_backend.forwarding.progress import Progress
from router_backend.forwarding.request import ForwardRequest
from router_backend.forwarding.upstreams.body import arm_body, usage_asked
from router_backend.forwarding.upstreams.secrets import key_reader
from router_backend.gateway.accounting import Account, Ledger
from router_backend.gateway.extproc import replies
from router_backend.gateway.extproc.messages import (
    FULL_DUPLEX_STREAMED,
    BodyResponse,
    CommonResponse,
    HttpBody,
    HttpHeaders,
    ProcessingRequest,
    ProcessingResponse,
    TrailersResponse,
)
from router_backend.gateway.extproc.observed import Observed
from router_backend.gateway.http.bodies import Bodies
from router_backend.gateway.http.errors import ApiError, ClientGone, Header, retry_after
from router_backend.gateway.http.exchange import Exchange, Message
from router_backend.gateway.memory import Sessions
from router_backend.gateway.plan import Plan, make_plan
from router_backend.gateway.request import CompletionRequest, read_request
from router_backend.gateway.router_host import RouterHost
from router_backend.gateway.runtime import Runtimes
from router_backend.gateway.send import decision_headers
from router_backend.gateway.surfaces.openai import CHAT, COMPLETIONS, EMBEDDINGS
from router_backend.gateway.surfaces.surface import Surface
from router_backend.gateway.traces import NoTraces, Operation, Traces

_SURFACES: dict[str, tuple[Surface, Operation]] = {
    "/v1/chat/completions": (CHAT, "chat"),
    "/v1/completions": (COMPLETIONS, "text_completion"),
    "/v1/embeddings": (EMBEDDINGS, "embeddings"),
}
_log = logging.getLogger("llm_router.gateway")
_KEY_HEADERS = ("authorization", "x-api-key", "api-key")
MODEL_HEADER = "x-router-model"
"""The arm's name, to route by."""
POOL_HEADER = "x-gateway-model-name"
"""The upstream's name of the model: what body-based routing of the Gateway API Inference Extension matches."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What all passages of a process share."""

    runtimes: Runtimes
    router: RouterHost
    ledger: Ledger
    sessions: Sessions
    traces: Traces | NoTraces
    bodies: Bodies


@dataclass(slots=True)
class Passage:
    """State of one request; `process` is its whole life."""

    parts: Parts
    _head: HttpHeaders | None = None
    _surface: tuple[Surface, Operation] | None = None  # None: the request isn't ours to decide, all of it passes
    _body: bytearray = field(default_factory=bytearray)
    _request_duplex: bool = False  # Envoy streams the body both ways, and waits for ours
    _response_duplex: bool = False
    _stack: ExitStack = field(default_factory=ExitStack)
    _account: Account | None = None
    _request: CompletionRequest | None = None
    _plan: Plan | None = None
    _observed: Observed | None = None
    _progress: Progress | None = None

    async def process(self, messages: AsyncIterator[ProcessingRequest]) -> AsyncGenerator[ProcessingResponse]:
        """Answers to Envoy's messages, in their order. The end of `messages` before the answer's is the client's leaving."""
        try:
            async for message in messages:
                for reply in await self._take(message):
                    yield reply
        finally:
            self._close()

    async def _take(self, message: ProcessingRequest) -> list[ProcessingResponse]:
        if message.HasField("protocol_config"):
            modes = message.protocol_config
            self._request_duplex = modes.request_body_mode == FULL_DUPLEX_STREAMED
            self._response_duplex = modes.response_body_mode == FULL_DUPLEX_STREAMED
        if message.HasField("request_headers"):
            return self._take_head(message.request_headers)
        if message.HasField("request_body"):
            return await self._take_body(message.request_body)
        if message.HasField("response_headers"):
            return await self._answer_begins(message.response_headers)
        if message.HasField("response_body"):
            return await self._answer_goes_on(message.response_body)
        if message.HasField("request_trailers"):
            return [ProcessingResponse(request_trailers=TrailersResponse())]
        if message.HasField("response_trailers"):
            await self._answer_ended()
            return [ProcessingResponse(response_trailers=TrailersResponse())]
        return []

    def _take_head(self, head: HttpHeaders) -> list[ProcessingResponse]:
        headers = dict(replies.headers_of(head.headers))
        path = headers.get(b":path", b"").decode("latin-1").partition("?")[0]
        if headers.get(b":method") == b"POST" and not head.end_of_stream:
            self._surface = _SURFACES.get(path)
        self._head = head
        # With streaming both ways the head waits for the body: only then is it known where it goes.
        return [] if self._surface and self._request_duplex else [replies.request_headers()]

    async def _take_body(self, part: HttpBody) -> list[ProcessingResponse]:
        if self._surface is None:
            return list(replies.passed_body(part, duplex=self._request_duplex, request=True))
        if not (part.end_of_stream or self._request_duplex):
            _log.error("request bodies come in pieces: set request_body_mode to BUFFERED or FULL_DUPLEX_STREAMED")
            self._surface = None
            return list(replies.passed_body(part, duplex=False, request=True))
        limit = self.parts.runtimes.current.config.gateway.max_body_bytes
        if len(self._body) + len(part.body) > limit:
            error = ApiError(413, f"The request body is larger than {limit} bytes (gateway.max_body_bytes)")
            return [_refused(error)]
        self._body += part.body
        if not part.end_of_stream:
            return []
        raw, self._body = bytes(self._body), bytearray()
        try:
            return await self._decide(raw, *self._surface)
        except ApiError as error:
            if error.error.code == "model_not_found":  # of another route of this mesh
                return list(self._untouched(raw))
            return [_refused(error)]

    def _untouched(self, raw: bytes) -> Iterator[ProcessingResponse]:
        self._surface = None
        if self._request_duplex:
            yield replies.request_headers()
            yield from replies.streamed_body(raw, end=True, request=True)
        else:
            yield ProcessingResponse(request_body=BodyResponse())

    async def _decide(self, raw: bytes, surface: Surface, operation: Operation) -> list[ProcessingResponse]:
        """Raises ApiError where the gateway would answer with an error."""
        parts = self.parts
        exchange = self._exchange()
        runtime = self._stack.enter_context(parts.runtimes.current)
        key = runtime.keys.admit(exchange, "chat")
        runtime.keys.afford(key)
        request = await read_request(exchange, raw, surface, key, runtime, parts.sessions)
        trace = parts.traces.begin(operation, request.trace, request.started, request.request_id)
        plan = await make_plan(request, runtime, parts.router, trace.context)
        arm = next(model for model in runtime.config.models if model.name == plan.arms[0])
        forward = ForwardRequest(
            body=request.body, arms=plan.arms[:1], endpoint=surface.endpoint, named=plan.named, task=plan.decision.task
        )
        account = Account(parts.ledger, request, plan, forward, trace, runtime.config, exchange.log)
        self._account = self._stack.enter_context(account)
        self._request, self._plan = request, plan
        body = await off_loop(len(raw), _body_for, arm, forward)
        headers = {name.decode(): value for name, value in decision_headers(request, plan, arm.name)}
        headers |= {
            POOL_HEADER: _name_of(arm).encode(),
            "content-length": str(len(body)).encode(),
            "accept-encoding": b"identity",  # its usage is read on its way back
            **{name: value.encode() for name, value in trace.call().items()},
        }
        mutation = replies.changed_headers(*_with_key(headers, arm, bool(key)))
        if self._request_duplex:
            return list(replies.streamed_request(mutation, body))
        return [replies.whole_request(mutation, body)]

    def _exchange(self) -> Exchange:
        """The request in the form that the gateway's gates read."""
        assert self._head is not None
        headers = replies.headers_of(self._head.headers)
        pseudo = {name: value for name, value in headers if name.startswith(b":")}
        scope = {
            "method": "POST",
            "path": pseudo.get(b":path", b"").decode("latin-1"),
            "headers": [(b"host", pseudo.get(b":authority", b"")), *(h for h in headers if not h[0].startswith(b":"))],
        }

        async def receive() -> Message:
            raise RuntimeError("Envoy carries the body")

        async def send(_: Message) -> None:
            raise RuntimeError("Envoy carries the answer")

        return Exchange(scope, receive, send, self.parts.bodies)

    async def _answer_begins(self, head: HttpHeaders) -> list[ProcessingResponse]:
        if self._plan is None or self._request is None:
            return [replies.response_headers()]
        headers = dict(replies.headers_of(head.headers))
        status = headers.get(b":status", b"")
        self._progress = Progress(self._plan.arms[0], self._request.started)
        self._progress.status = int(status) if status.isdigit() else 502
        assert self._account is not None
        self._account.progress = self._progress
        self._observed = Observed(
            self._progress,
            self._request.endpoint,
            streamed=headers.get(b"content-type", b"").startswith(b"text/event-stream"),
            readable=headers.get(b"content-encoding", b"identity") == b"identity",
        )
        values = {
            name.decode(): value for name, value in decision_headers(self._request, self._plan, self._plan.arms[0])
        }
        if head.end_of_stream:
            await self._answer_ended()
        return [replies.response_headers(CommonResponse(header_mutation=replies.changed_headers(values)))]

    async def _answer_goes_on(self, part: HttpBody) -> list[ProcessingResponse]:
        if self._observed:
            self._observed.add(part.body)
            if part.end_of_stream:
                await self._answer_ended()
        return list(replies.passed_body(part, duplex=self._response_duplex, request=False))

    async def _answer_ended(self) -> None:
        if self._observed and self._account:
            self._observed.end()
            self._account.ended(self._observed.progress)
            self._observed = None

    def _close(self) -> None:
        """Whatever has not ended by now has been left by the client."""
        if self._observed:
            self._observed.estimate()
        left = ClientGone()
        self._stack.__exit__(ClientGone, left, None)


def _body_for(arm: ModelConfig, forward: ForwardRequest) -> bytes:
    """The body with the arm's defaults and caps, and its upstream's name of the model.

    The usage chunk of a stream comes only where the client asked for it: nothing could take it out again.
    """
    body = arm_body(arm, forward, usage=usage_asked(forward.body))
    return dump({**body, "model": _name_of(arm)})


def _name_of(arm: ModelConfig) -> str:
    return (arm.upstream.model if isinstance(arm.upstream, OpenAIUpstream) else None) or arm.name


def _with_key(headers: dict[str, bytes], arm: ModelConfig, ours: bool) -> tuple[dict[str, bytes], list[str]]:
    """Headers to set and to remove: the upstream's key, and never the router's own."""
    removed = list(_KEY_HEADERS) if ours else []
    upstream = arm.upstream
    if isinstance(upstream, OpenAIUpstream):
        headers |= {name.lower(): value.encode() for name, value in upstream.headers.items()}
        if key := key_reader(upstream)():
            headers["authorization"] = f"Bearer {key}".encode()
    return headers, [name for name in removed if name not in headers]


def _refused(error: ApiError) -> ProcessingResponse:
    headers: list[Header] = [*error.headers, *retry_after(error.error)]
    return replies.refusal(error.error.status, error.error.json(), headers)
