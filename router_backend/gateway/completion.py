"""The way of every completion and embedding: read, plan, forward, send, account."""

from __future__ import annotations

from router_backend.config.security import ApiKey
from router_backend.core.large import Body
from router_backend.forwarding.cascade.choice import cascade_of
from router_backend.forwarding.failure import ForwardError
from router_backend.forwarding.request import Endpoint, ForwardRequest
from router_backend.gateway.accounting import Account, Ledger
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.memory import Sessions
from router_backend.gateway.plan import make_plan
from router_backend.gateway.request import CompletionRequest, read_request
from router_backend.gateway.review import Reviewer
from router_backend.gateway.router_host import RouterHost
from router_backend.gateway.runtime import Runtime
from router_backend.gateway.send import send
from router_backend.gateway.stored import StoredResponses
from router_backend.gateway.surfaces.surface import Surface
from router_backend.gateway.traces import NoTraces, Operation, Traces

_OPERATIONS: dict[Endpoint, Operation] = {
    "chat/completions": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
}


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
        self, exchange: Exchange, raw: Body, surface: Surface, key: ApiKey | None, runtime: Runtime
    ) -> None:
        """Answer one request, whose body is `raw`.

        Raises:
            ApiError: the request is malformed, or no model could ever take it.
            ClientGone: the client doesn't read its answer.
        """
        request = await read_request(exchange, raw, surface, key, runtime, self._sessions, stored=self._stored)
        del raw  # as large as what was read of it
        with runtime.of(request.body["model"]) as chosen:
            await self._answer(exchange, request, chosen)

    async def _answer(self, exchange: Exchange, request: CompletionRequest, runtime: Runtime) -> None:
        config, surface = runtime.config, request.surface
        trace = self._traces.begin(_OPERATIONS[surface.endpoint], request.trace, request.started, request.request_id)
        plan = await make_plan(request, runtime, self._router, trace.context)
        decision = plan.decision
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
        )
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
