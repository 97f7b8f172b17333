"""What a gateway asks of a router, wherever its steps run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from router_backend.core.decision import RoutedDecision
from router_backend.core.records import Decision, Feedback, Outcome, Scored
from router_backend.core.tracing import TraceContext
from router_backend.state.console import Question
from router_backend.state.leases import Lease
from router_backend.state.rates import Draw, Levels
from router_backend.state.responses import Asked
from router_backend.state.spend import Spend

Turn = Callable[[], str]
"""The text of a request that is classified; empty where it isn't known. Called by those who need it."""


def no_turn() -> str:
    return ""


class HostError(RuntimeError):
    """A call failed. `cause` is for x-router-reason; `code` is the step's own, if it gave one."""

    def __init__(self, cause: str, code: str = "", message: str = "") -> None:
        super().__init__(message or cause)
        self.cause, self.code, self.message = cause, code, message


class Owner(NamedTuple):
    """Whose feedback it is."""

    key: str  # name of the API key; empty: there are none
    everyone: bool = False  # it may score for others


class RouterHost(Protocol):
    """One router. Each call raises HostError where it fails; `seconds` is the longest that it may take."""

    async def open(self) -> None:
        """Called once, on the running loop, before anything is asked."""

    async def route(
        self,
        inputs: Mapping[str, bytes],
        parameters: Mapping[str, float | str],
        seconds: float,
        trace: TraceContext,
        turn: Turn = no_turn,
    ) -> RoutedDecision:
        """The decision for `inputs` (STRING inputs of `route` by name), asked in a caller's trace."""

    async def feedback(
        self, decision_id: str, score: float, cost: float | None, task: str, tags: str, owner: Owner, seconds: float
    ) -> Scored:
        """Give a score; it is durable when this returns."""

    async def report(self, decisions: Sequence[Decision], outcomes: Sequence[Outcome], seconds: float) -> Spend:
        """Write decisions and outcomes; they are durable when this returns. What keys have spent then, if it is known.

        Raises ValueError, too: a record can't be written down.
        """

    async def report_scores(self, scores: Sequence[Feedback], seconds: float) -> None:
        """Pass on implicit scores. They are on their way when this returns, and not yet durable."""

    async def stored(self, asked: Asked, seconds: float) -> bytes:
        """What the store says about a stored response; see state.responses."""

    async def console(self, asked: Question, seconds: float) -> bytes:
        """What the store says to an operator's question; see state.console."""

    async def draw(self, draw: Draw, seconds: float) -> Levels:
        """Tell what was taken from the buckets that all gateways share; returns what is left."""

    async def lease(self, lease: Lease, seconds: float) -> bool:
        """Take or prolong a lease; False while somebody else holds it."""

    async def decides(self, seconds: float = 1.0) -> bool:
        """Whether a decision comes within `seconds`: asked for through all steps, and not recorded."""

    async def aclose(self) -> None:
        """End what is open; calls that run fail."""
