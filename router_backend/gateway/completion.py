"""The way of every completion and embedding: read, plan, forward, send, account."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from router_backend.config.security import ApiKey
from router_backend.core.large import Body
from router_backend.forwarding.cascade.choice import cascade_of
from router_backend.forwarding.failure import ForwardError
from router_backend.forwarding.guards.limiter import Slot
from router_backend.forwarding.request import Endpoint, ForwardRequest
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
        unhurried: bool = False,
    ) -> None:
        """Answer one request, whose body is `raw`. `unhurried`: nobody waits for it, so it is called where nothing else is.

        Raises:
            ApiError: the request is malformed, or no model could ever take it.
            ClientGone: the client doesn't read its answer.
        """
        request = await read_request(exchange, raw, surface, key, runtime, self._sessions, stored=self._stored)
        del raw  # as large as what was read of it
        with runtime.of(request.body["model"]) as chosen:
            await self._answer(exchange, request, chosen, unhurried)

    async def _answer(self, exchange: Exchange, request: CompletionRequest, runtime: Runtime, unhurried: bool) -> None:
        surface = request.surface
        trace = self._traces.begin(_OPERATIONS[surface.endpoint], request.trace, request.started, request.request_id)
        plan = await make_plan(request, runtime, self._router, trace.context)
        decision = plan.decision
        reserved: dict[str, Slot] = {}
        if unhurried:
            reserved[plan.arms[0]] = await _idle_place(request, plan, runtime)
            request = replace(request, started=time.monotonic())
        forward = ForwardRequest(
            body=request.body,
            native=request.native,
            arms=plan.arms,
            endpoint=surface.endpoint,
            named=plan.named,
            task=decision.task,
            client=request.client,
            request_id=request.request_id,
            trace=trace.call(),
            size=request.size,
            reserved=reserved,
        )
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
            watch = self._reviewer.begin(request, plan, answer, config)
            try:
                await send(exchange, answer, request, plan, account, config.timeouts.total)
            finally:
                self._reviewer.end(watch, answer.progress)


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
