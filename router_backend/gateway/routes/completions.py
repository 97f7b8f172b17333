"""`/v1/chat/completions`, `/v1/completions`, `/v1/embeddings`: decide, forward, send on, account."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from router_backend.config.security import ApiKey
from router_backend.forwarding.answers import StreamedAnswer, WholeAnswer
from router_backend.forwarding.cascade.choice import cascade_of
from router_backend.forwarding.failure import ForwardError
from router_backend.forwarding.progress import Progress
from router_backend.forwarding.request import Endpoint, ForwardRequest
from router_backend.gateway.accounting import Account
from router_backend.gateway.hints import take_hints
from router_backend.gateway.http.errors import ClientGone, Header, should_retry
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.plan import Plan, plan
from router_backend.gateway.runtime import Runtime
from router_backend.gateway.schemas import SHAPES, parse
from router_backend.gateway.traces import incoming

if TYPE_CHECKING:
    from router_backend.gateway.service import Gateway

_SSE = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would collect the frames
)
_END = b"data: [DONE]\n\n"
_GRACE = 1.0  # seconds after `timeouts.total`, so that the engine's own word comes first


class Completions:
    """The handler of one endpoint."""

    def __init__(self, gateway: Gateway, endpoint: Endpoint) -> None:
        self._gateway, self._endpoint, self._shape = gateway, endpoint, SHAPES[endpoint]

    async def __call__(self, exchange: Exchange) -> None:
        with self._gateway.runtime as runtime:
            key = runtime.keys.admit(exchange, "chat")
            runtime.keys.afford(key)
            limits = runtime.config.gateway
            raw = await exchange.body(limits.max_body_bytes, limits.body_seconds)
            with self._gateway.metrics.in_flight.track_inprogress():
                await exchange.while_connected(self._answer(exchange, raw, key, runtime))

    async def _answer(self, exchange: Exchange, raw: bytes, key: ApiKey | None, runtime: Runtime) -> None:
        gateway = self._gateway
        body = parse(raw, self._shape)
        hints = take_hints(exchange, body, runtime.config.names)
        if hints.policy:
            runtime.keys.require(key, "policy")
        previous = gateway.sessions.get((exchange.key, hints.session)) if hints.session else None
        trace = gateway.traces.begin(exchange) if gateway.traces else None
        context = trace.context if trace else incoming(exchange)
        made = await plan(body, self._endpoint, hints, previous or "", runtime, gateway.triton, context)
        account = Account(gateway, exchange, runtime, made, hints.session, self._endpoint, trace)
        request = ForwardRequest(
            body=body,
            arms=made.arms,
            endpoint=self._endpoint,
            named=made.named,
            task=made.decision.task,
            request_id=exchange.request_id,
            trace=trace.call() if trace else context,
        )
        cascade = cascade_of(runtime.config, made.decision.policy, made.decision.reason)
        try:
            answer = await runtime.engine.forward(request, cascade)
        except ForwardError as error:
            account.failed(error, request.spent)
            await exchange.fail(error.error, [*should_retry(error), *_headers(made, error.arm or made.arms[0])])
            return
        except asyncio.CancelledError:
            account.left(Progress(arm=made.arms[0], started=exchange.started, discarded=request.spent))
            raise
        try:
            if isinstance(answer, StreamedAnswer):
                await self._stream(exchange, answer, made, account)
            else:
                await self._whole(exchange, answer, made, account)
        finally:
            account.left(answer.progress)  # does nothing where the answer came to its end

    async def _whole(self, exchange: Exchange, answer: WholeAnswer, made: Plan, account: Account) -> None:
        await account.ended(answer.progress)
        await exchange.respond(answer.progress.status, answer.body, _headers(made, answer.progress.arm))

    async def _stream(self, exchange: Exchange, answer: StreamedAnswer, made: Plan, account: Account) -> None:
        total = self._gateway.runtime.config.timeouts.total
        try:
            await exchange.start(200, [*_SSE, *_headers(made, answer.progress.arm)])
            # The engine's limits stand still while a client doesn't read: it must not hold its place for ever.
            async with asyncio.timeout(total + _GRACE):
                await self._frames(exchange, answer, account)
        except TimeoutError:
            raise ClientGone from None
        finally:
            await answer.aclose()

    @staticmethod
    async def _frames(exchange: Exchange, answer: StreamedAnswer, account: Account) -> None:
        async for frames in answer.frames():
            if frames.endswith(_END):
                # SDKs close at [DONE]: what has to be known by then is written before it goes out.
                await account.ended(answer.progress)
                await exchange.chunk(frames, more=False)
                return
            await exchange.chunk(frames)
        await account.ended(answer.progress)
        await exchange.chunk(b"", more=False)


def _headers(made: Plan, served: str) -> list[Header]:
    decision = made.decision
    headers = [
        (b"x-router-decision-id", decision.decision_id.encode()),
        (b"x-router-model", served.encode()),
        (b"x-router-task", decision.task.encode()),
        (b"x-router-reason", decision.reason.encode()),
    ]
    if made.previous and made.previous != served:
        headers.append((b"x-router-switched", b"true"))
    return headers
