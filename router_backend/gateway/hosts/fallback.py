"""Triton, and in its place this process while it doesn't decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from router_backend.core.decision import RoutedDecision
from router_backend.core.records import Decision, Feedback, Outcome, Scored
from router_backend.core.tracing import TraceContext
from router_backend.gateway.router_host import HostError, Owner, RouterHost, Turn, no_turn
from router_backend.state.console import Question
from router_backend.state.leases import Lease
from router_backend.state.rates import Draw, Levels
from router_backend.state.responses import Asked
from router_backend.state.spend import Spend

IN_PROCESS = "in_process"
_ANSWERS = frozenset(("INVALID_ARGUMENT", "OTHER_CONFIGURATION"))  # a router that says these decides


class FallbackHost:
    """Decisions alone have a second way: outcomes and scores wait for Triton, as they do without one."""

    def __init__(self, triton: RouterHost, own: RouterHost) -> None:
        self._triton, self._own = triton, own

    async def open(self) -> None:
        await self._triton.open()
        await self._own.open()

    async def route(
        self,
        inputs: Mapping[str, bytes],
        parameters: Mapping[str, float | str],
        seconds: float,
        trace: TraceContext,
        turn: Turn = no_turn,
    ) -> RoutedDecision:
        """Triton's decision, else this process's, which may take as long again; its reason says so, and why."""
        try:
            return await self._triton.route(inputs, parameters, seconds, trace, turn)
        except HostError as error:
            if error.code in _ANSWERS:
                raise
            cause = error.cause
        decision = await self._own.route(inputs, parameters, seconds, trace, turn)
        return replace(decision, reason=f"{decision.reason}:{IN_PROCESS}:{cause}")

    async def feedback(
        self, decision_id: str, score: float, cost: float | None, task: str, tags: str, owner: Owner, seconds: float
    ) -> Scored:
        return await self._triton.feedback(decision_id, score, cost, task, tags, owner, seconds)

    async def report(self, decisions: Sequence[Decision], outcomes: Sequence[Outcome], seconds: float) -> Spend:
        return await self._triton.report(decisions, outcomes, seconds)

    async def report_scores(self, scores: Sequence[Feedback], seconds: float) -> None:
        await self._triton.report_scores(scores, seconds)

    async def stored(self, asked: Asked, seconds: float) -> bytes:
        return await self._triton.stored(asked, seconds)

    async def console(self, asked: Question, seconds: float) -> bytes:
        return await self._triton.console(asked, seconds)

    async def draw(self, draw: Draw, seconds: float) -> Levels:
        return await self._triton.draw(draw, seconds)

    async def lease(self, lease: Lease, seconds: float) -> bool:
        return await self._triton.lease(lease, seconds)

    async def decides(self, seconds: float = 1.0) -> bool:
        return await self._triton.decides(seconds) or await self._own.decides(seconds)

    async def aclose(self) -> None:
        await self._triton.aclose()
        await self._own.aclose()
