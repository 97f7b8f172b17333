"""The way of every completion and embedding: read, plan, forward, send, account."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Protocol

from router_backend.config import RouterConfig
from router_backend.config.security import ApiKey
from router_backend.core.large import Body
from router_backend.core.tracing import TraceContext
from router_backend.forwarding.answers import Answer, WholeAnswer
from router_backend.forwarding.cascade.choice import cascade_of
from router_backend.forwarding.failure import ForwardError
from router_backend.forwarding.guards.limiter import Slot
from router_backend.forwarding.progress import Progress
from router_backend.forwarding.request import Endpoint, ForwardRequest
from router_backend.forwarding.stream.chunks import read_body
from router_backend.forwarding.stream.native import read_native
from router_backend.gateway.accounting import Account, Ledger
from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.memory import Sessions
from router_backend.gateway.plan import Plan, make_plan
from router_backend.gateway.request import CompletionRequest, read_request
from router_backend.gateway.review import Reviewer
from router_backend.gateway.router_host import RouterHost
from router_backend.gateway.runtime import Runtime
from router_backend.gateway.send import send
from router_backend.gateway.stored import StoredResponses
from router_backend.gateway.surfaces.surface import Surface
from router_backend.gateway.traces import NoTrace, NoTraces, Operation, Trace, Traces

_OPERATIONS: dict[Endpoint, Operation] = {
    "chat/completions": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
}
NO_PLACE = "no_idle_capacity"
"""Code of the error that a request gets which waited too long for its turn behind all others."""


class Unhurried(Protocol):
    """How a request is answered that nobody waits for: where nothing else is called, or elsewhere."""

    plan: Plan | None  # that was made of it before; None: it is still to be made

    def elsewhere(self, request: CompletionRequest, plan: Plan, runtime: Runtime) -> bool:
        """Whether it goes another way: then nothing more is done about it here."""
        ...


class CompletionPipeline:
    """Answers completions; holds nothing of a request."""

    def __init__(
        self,
        router: RouterHost,
        sessions: Sessions,
        traces: Traces | NoTraces,
        ledger: Ledger,
        reviewer: Reviewer,
        stored: StoredResponses,
    ) -> None:
        self._router, self._sessions, self._traces, self._ledger = router, sessions, traces, ledger
        self._reviewer, self._stored = reviewer, stored

    async def complete(
        self,
        exchange: Exchange,
        raw: Body,
        surface: Surface,
        key: ApiKey | None,
        runtime: Runtime,
        *,
        unhurried: Unhurried | None = None,
    ) -> None:
        """Answer one request, whose body is `raw`. `unhurried`: nobody waits for it.

        Raises:
            ApiError: the request is malformed, or no model could ever take it.
            ClientGone: the client doesn't read its answer.
        """
        request = await read_request(exchange, raw, surface, key, runtime, self._sessions, stored=self._stored)
        del raw  # as large as what was read of it
        with runtime.of(request.body["model"]) as chosen:
            await self._answer(exchange, request, chosen, unhurried)

    async def settle(
        self, exchange: Exchange, raw: Body, surface: Surface, runtime: Runtime, plan: Plan, given: bytes, endpoint: str
    ) -> None:
        """Account for an answer that the planned model's Batch API has given at `endpoint`, whose body is `given`, and send it on.

        Raises:
            ApiError: the request can't be read any more.
            Failure: it is no answer.
        """
        await self._ledger.room()
        request = await read_request(exchange, raw, surface, None, runtime, self._sessions, stored=self._stored)
        trace = self._begin(request)
        arm = plan.arms[0]
        progress = Progress(arm=arm, started=request.started, batched=True)
        native = request.native is not None and endpoint == f"/v1/{request.native.endpoint}"
        data = read_native(given, progress) if native else read_body(given, progress, surface.endpoint)
        answer = WholeAnswer(progress, data, native)
        forward, config = forwarded(request, plan, trace.call()), runtime.config
        with Account(self._ledger, request, plan, forward, trace, config, exchange.log) as account:
            account.progress = progress
            await self._send(exchange, answer, request, plan, account, config)

    def _begin(self, request: CompletionRequest) -> Trace | NoTrace:
        operation = _OPERATIONS[request.endpoint]
        return self._traces.begin(operation, request.trace, request.started, request.request_id)

    async def _answer(
        self, exchange: Exchange, request: CompletionRequest, runtime: Runtime, unhurried: Unhurried | None
    ) -> None:
        trace = self._begin(request)
        plan = unhurried.plan if unhurried else None
        plan = plan or await make_plan(request, runtime, self._router, trace.context)
        reserved: dict[str, Slot] = {}
        if unhurried:
            if unhurried.elsewhere(request, plan, runtime):
                return
            reserved[plan.arms[0]] = await _idle_place(request, plan, runtime)
            request = replace(request, started=time.monotonic())
        forward = forwarded(request, plan, trace.call(), reserved)
        try:
            await self._forward(exchange, request, plan, forward, trace, runtime)
        finally:
            for slot in reserved.values():  # it was never called
                slot.release()

    async def _forward(
        self,
        exchange: Exchange,
        request: CompletionRequest,
        plan: Plan,
        forward: ForwardRequest,
        trace: Trace | NoTrace,
        runtime: Runtime,
    ) -> None:
        config, decision = runtime.config, plan.decision
        with Account(self._ledger, request, plan, forward, trace, config, exchange.log) as account:
            try:
                answer = await runtime.engine.forward(forward, cascade_of(config, decision.policy, decision.reason))
                account.progress = answer.progress
            except ForwardError as error:
                await send(exchange, error, request, plan, account, config.timeouts.total)
                return
            await self._send(exchange, answer, request, plan, account, config)

    async def _send(
        self,
        exchange: Exchange,
        answer: Answer,
        request: CompletionRequest,
        plan: Plan,
        account: Account,
        config: RouterConfig,
    ) -> None:
        watch = self._reviewer.begin(request, plan, answer, config)
        try:
            await send(exchange, answer, request, plan, account, config.timeouts.total)
        finally:
            self._reviewer.end(watch, answer.progress)


def forwarded(
    request: CompletionRequest, plan: Plan, trace: TraceContext, reserved: dict[str, Slot] | None = None
) -> ForwardRequest:
    """What forwarding needs of a request; `reserved`: see `ForwardRequest.reserved`."""
    return ForwardRequest(
        body=request.body,
        native=request.native,
        arms=plan.arms,
        endpoint=request.endpoint,
        named=plan.named,
        task=plan.decision.task,
        client=request.client,
        request_id=request.request_id,
        trace=trace,
        size=request.size,
        reserved={} if reserved is None else reserved,
    )


async def _idle_place(request: CompletionRequest, plan: Plan, runtime: Runtime) -> Slot:
    """Of the model that was chosen, when nobody else wants one.

    Raises:
        ApiError: 503, there was none for so long that the choice is too old.
    """
    try:
        async with asyncio.timeout(runtime.config.timeouts.total):
            return await runtime.engine.reserve_idle(plan.arms[0], request.client)
    except TimeoutError:
        message = f"{plan.arms[0]} has had no place that nobody else wants"
        raise ApiError(503, message, type="server_error", code=NO_PLACE, retry_after=1) from None
