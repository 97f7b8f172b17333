"""What a completion leaves behind: its outcome in the store, metrics, the key's spending, the session's model, the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router_backend.core.pricing import answer_cost
from router_backend.forwarding.failure import ForwardError
from router_backend.forwarding.progress import Expense, Progress
from router_backend.forwarding.request import Endpoint
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.memory import Remembered
from router_backend.gateway.plan import Plan
from router_backend.gateway.runtime import Runtime
from router_backend.gateway.traces import Trace
from router_backend.learning.outcome import outcome_of

if TYPE_CHECKING:
    from router_backend.gateway.service import Gateway


class Account:
    """Of one request, from its decision to the end of its answer. It is closed once; later calls change nothing."""

    def __init__(
        self,
        gateway: Gateway,
        exchange: Exchange,
        runtime: Runtime,
        plan: Plan,
        session: str,
        endpoint: Endpoint,
        trace: Trace | None,
    ) -> None:
        self._gateway, self._exchange, self._runtime = gateway, exchange, runtime
        self._plan, self._session, self._trace = plan, session, trace
        self._kept = endpoint != "embeddings"  # nobody scores an embedding, so no decision is kept of one,
        self._stored = self._kept or bool(exchange.key)  # except for what its key has spent
        self._closed = False
        decision = plan.decision
        exchange.log |= {
            "decision_id": decision.decision_id,
            "model": plan.arms[0],
            "task": decision.task,
            "reason": decision.reason,
        }
        if self._stored and plan.ours:
            gateway.reporter.decision(plan.record())
        if self._kept:
            self._remembered = Remembered(exchange.key, decision)
            gateway.decisions.put(decision.decision_id, self._remembered)
        if plan.seconds:
            gateway.metrics.decision.observe(plan.seconds)
        if decision.reason.startswith("fallback:"):
            gateway.metrics.routing_fallbacks.labels(decision.reason.removeprefix("fallback:")).inc()

    async def ended(self, progress: Progress) -> None:
        """The answer is complete (or has failed in its middle), its last bytes not yet sent.

        Waits a little until a routed answer's outcome is durable, so that feedback can't come before it. A named
        answer does not wait: it teaches only through feedback, and /v1/feedback waits for what is still on its way.
        """
        self._close(progress, 502 if progress.error else progress.status)
        wait = self._runtime.config.gateway.report_wait_ms / 1000
        if self._plan.kind == "routed" and wait:
            await self._gateway.reporter.settled(self._plan.decision.decision_id, wait)

    def failed(self, error: ForwardError, spent: tuple[Expense, ...]) -> None:
        """No model answered; `spent` is what a cascade had to pay nevertheless."""
        progress = Progress(arm=error.arm or self._plan.arms[0], started=self._exchange.started, discarded=spent)
        progress.fallbacks = error.fallbacks
        self._close(progress, error.error.status)

    def left(self, progress: Progress) -> None:
        """The client went away; what its answer had cost by then is kept."""
        self._close(progress, 499)

    def _close(self, progress: Progress, status: int) -> None:
        if self._closed:
            return
        self._closed = True
        gateway, config = self._gateway, self._runtime.config
        outcome = outcome_of(
            self._plan.decision.decision_id,
            progress,
            status,
            config,
            started=self._exchange.started,
            key=self._exchange.key,
        )
        usage, cost = outcome.usage, outcome.cost
        savings = None
        if cost is not None:
            savings = max(answer_cost(model.price, usage) for model in config.models) - cost  # against always-best
        if self._session and status == 200:
            gateway.sessions.put((self._exchange.key, self._session), progress.arm)
        if self._stored:
            gateway.budgets.spend(outcome)
            gateway.reporter.outcome(outcome)
        if self._kept:
            self._remembered.outcome, self._remembered.savings = outcome, savings
        # A cascade may cost more than the dearest answer alone; a counter can't go back.
        gateway.metrics.completion(self._plan.decision, outcome, None if savings is None else max(0.0, savings))
        if self._trace:
            self._trace.end(self._plan.decision, outcome, self._plan.seconds)
        self._exchange.log |= {
            "model": progress.arm,
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.completion,
            "cost_usd": cost,
            "attempts": progress.attempts,
            "fallbacks": [str(attempt) for attempt in progress.fallbacks],
            "error": progress.error.label if progress.error else None,
            "upstream_ms": None if progress.latency is None else round(progress.latency * 1000, 2),
        }
