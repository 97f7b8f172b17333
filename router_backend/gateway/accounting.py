"""What a completion leaves behind: its outcome in the store, metrics, the key's spending, the session's model, the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from router_backend.config import RouterConfig
from router_backend.core.errors import INTERNAL_ERROR
from router_backend.core.pricing import savings
from router_backend.core.records import Outcome
from router_backend.core.unread import UnreadList
from router_backend.forwarding.failure import ForwardError
from router_backend.forwarding.progress import Progress
from router_backend.forwarding.request import Endpoint, ForwardRequest
from router_backend.gateway.bills import Bills
from router_backend.gateway.caches import Caches
from router_backend.gateway.http.errors import ClientGone
from router_backend.gateway.keys.budgets import Budgets
from router_backend.gateway.memory import Decisions, Remembered, Sessions
from router_backend.gateway.metrics import Metrics
from router_backend.gateway.outcome_queue import OutcomeQueue
from router_backend.gateway.plan import Plan
from router_backend.gateway.request import CompletionRequest
from router_backend.gateway.traces import NoTrace, Trace
from router_backend.learning.outcome import outcome_of
from router_backend.prompts.features import describe, estimate_tokens

_BYTES_PER_TOKEN = 4


class Ledger:
    """Where completions are entered: once when they are decided, once when their answer has ended."""

    def __init__(
        self,
        outcomes: OutcomeQueue,
        budgets: Budgets,
        bills: Bills,
        caches: Caches,
        sessions: Sessions,
        decisions: Decisions,
        metrics: Metrics,
        spend_tokens: Callable[[str, int], None],
    ) -> None:
        """`spend_tokens`: hears of the key and the tokens of each answer."""
        self._spend_tokens = spend_tokens
        self._outcomes, self._budgets, self._bills, self._metrics = outcomes, budgets, bills, metrics
        self._caches, self._sessions, self._decisions = caches, sessions, decisions

    def decided(self, request: CompletionRequest, plan: Plan) -> Remembered | None:
        """Enter a decision; it is remembered for `/v1/decisions`, except that of an embedding, which nobody scores."""
        self._metrics.decided(plan.decision, plan.seconds)
        if plan.record and _stored(request):
            self._outcomes.decision(plan.record)
        if not _scored(request):
            return None
        parent = request.conversation.parent_name if request.conversation and not request.hints.session else ""
        return self._decisions.add(request.key, plan.decision, request.session, parent)

    def ended(
        self, request: CompletionRequest, plan: Plan, outcome: Outcome, savings: float | None, *, batched: bool = False
    ) -> None:
        """Enter what became of it. `batched`: by the upstream's Batch API, so that its price and time say nothing of others."""
        if outcome.status == 200:
            if request.hints.session:
                self._sessions.answered(request.key, request.hints.session, outcome.served)
            if request.conversation:
                self._caches.learn(request.conversation, request.started, outcome)
                request.conversation.answered(self._sessions, outcome.served, outcome.usage)
        expected = plan.decision.expected_cost.get(plan.decision.model)
        if plan.kind == "routed" and expected is not None and outcome.cost is not None and not batched:
            self._bills.enter(plan.asked, expected, outcome.cost)
        if _stored(request):
            self._budgets.spend(outcome)
            if not batched:  # thousands come at once, and take nothing of the capacity that the rate shares out
                self._spend_tokens(outcome.key, outcome.usage.prompt + outcome.usage.completion)
            self._outcomes.outcome(outcome, plan.record)
        # A cascade may cost more than the most expensive answer alone; a counter can't go back.
        self._metrics.completion(
            plan.decision, outcome, None if savings is None else max(0.0, savings), timed=not batched
        )

    async def room(self) -> None:
        """Wait until there is room for outcomes that nobody waits for."""
        await self._outcomes.room()

    async def durable(self, decision_id: str, seconds: float) -> None:
        """Wait until what was entered of a decision is in the store, for `seconds` at most."""
        await self._outcomes.settled(decision_id, seconds)


class Account:
    """Of one completion, from its decision to the end of its answer. It is closed once, whatever happens in its block."""

    def __init__(
        self,
        ledger: Ledger,
        request: CompletionRequest,
        plan: Plan,
        forward: ForwardRequest,
        trace: Trace | NoTrace,
        config: RouterConfig,
        log: dict[str, Any],
    ) -> None:
        """`log`: fields of the request's line in the access log, which are added to."""
        self._ledger, self._request, self._plan, self._forward = ledger, request, plan, forward
        self._trace, self._config, self._log = trace, config, log
        self.progress: Progress | None = None  # of the answer that is being sent
        self._closed = False
        self._remembered = ledger.decided(request, plan)
        decision = plan.decision
        log |= {
            "decision_id": decision.decision_id,
            "model": plan.arms[0],
            "task": decision.task,
            "reason": decision.reason,
            "decision_ms": round(plan.seconds * 1000, 2) if plan.seconds else None,
        }

    def __enter__(self) -> Account:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        """Where no end was entered the client went away, or the gateway failed; what the answer had cost is kept."""
        left = isinstance(error, ClientGone | asyncio.CancelledError)
        progress = self.progress or self._running() or self._unanswered()
        if not left and not self._closed:
            progress.error = progress.error or INTERNAL_ERROR
        self._close(progress, 499 if left else 500)

    def failed(self, error: ForwardError) -> None:
        """No model answered."""
        progress = self._unanswered()
        progress.arm, progress.fallbacks = error.arm or progress.arm, error.fallbacks
        progress.error = error.cause
        self._close(progress, error.error.status)

    def ended(self, progress: Progress) -> None:
        """The answer is complete (or has failed in its middle), its last bytes not yet sent: they don't wait for the
        report. The journal holds the outcome by then, and /v1/feedback waits for what is still on its way.
        """
        self._close(progress, 502 if progress.error else progress.status)

    async def durable(self) -> None:
        """Wait for the store, where `gateway.durable_seconds` says so."""
        if seconds := self._config.gateway.durable_seconds:
            await self._ledger.durable(self._plan.decision.decision_id, seconds)

    def _running(self) -> Progress | None:
        """Of the call that the client didn't wait for; None: there was none."""
        if not self._forward.left:
            return None
        progress = self._forward.left[-1]
        progress.discarded = self._forward.spent
        return progress

    def _unanswered(self) -> Progress:
        """Of a request without an answer: a cascade may have spent something nevertheless."""
        return Progress(arm=self._plan.arms[0], started=self._request.started, discarded=self._forward.spent)

    def _close(self, progress: Progress, status: int) -> None:
        if self._closed:
            return
        self._closed = True
        request, plan = self._request, self._plan
        if status == 499 and not progress.usage_known and (self.progress or self._forward.left):
            # The model has read the prompt, whoever left before it said how long it was.
            tokens = prompt_tokens(request.endpoint, request.body, request.size)
            progress.usage = replace(progress.usage, prompt=max(progress.usage.prompt, tokens))
        outcome = outcome_of(
            plan.decision.decision_id, progress, status, self._config, started=request.started, key=request.key
        )
        usage, ordinary = outcome.usage, outcome.ordinary_cost
        prices = (model.price for model in self._config.models)
        saved = None if ordinary is None else savings(prices, usage, ordinary)
        self._ledger.ended(request, plan, outcome, saved, batched=progress.batched)
        if self._remembered:
            self._remembered.outcome, self._remembered.savings = outcome, saved
        self._trace.end(plan.decision, outcome, plan.seconds)
        self._log |= {
            "model": progress.arm,
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.completion,
            "cost_usd": outcome.cost,
            "most_expensive": most_expensive(self._config, progress.arm),
            "attempts": progress.attempts,
            "fallbacks": [str(attempt) for attempt in progress.fallbacks],
            "error": progress.error.label if progress.error else None,
            "upstream_ms": None if progress.latency is None else round(progress.latency * 1000, 2),
        }


def most_expensive(config: RouterConfig, arm: str) -> bool | None:
    """Whether no model's tokens cost more than this one's; None: all cost the same, or it is none of the file's."""
    prices = {model.name: model.price.input + model.price.output for model in config.models}
    if arm not in prices or len(set(prices.values())) == 1:
        return None
    return prices[arm] == max(prices.values())


def prompt_tokens(endpoint: Endpoint, body: Mapping[str, Any], size: int) -> int:
    """An estimate, from what the client sent in `size` bytes."""
    if endpoint == "chat/completions":
        if isinstance(body["messages"], UnreadList):
            return size // _BYTES_PER_TOKEN  # reading all of them would hold up others
        return describe("", body["messages"]).prompt_tokens
    prompts = body["input" if endpoint == "embeddings" else "prompt"]
    return sum(map(_tokens, [prompts] if isinstance(prompts, str) else prompts))


def _tokens(prompt: Any) -> int:
    if isinstance(prompt, str):
        return estimate_tokens(prompt)
    return len(prompt) if isinstance(prompt, list) else 1  # token ids


def _scored(request: CompletionRequest) -> bool:
    """Nobody scores an embedding, so its decision isn't remembered."""
    return request.endpoint != "embeddings"


def _stored(request: CompletionRequest) -> bool:
    """An embedding is stored only for what its key has spent."""
    return _scored(request) or bool(request.key)
