"""Tells Triton's `feedback` model what became of decisions, in the background, in groups, through its outages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from router_backend.core.records import Decision, Outcome
from router_backend.gateway.triton_client import TritonClient, TritonError
from router_backend.state.spend import Spend

_GROUP = 256
_CALL_SECONDS = 5.0
_PAUSE = 0.05  # seconds between tries, doubled up to the next
_MAX_PAUSE = 2.0
_log = logging.getLogger("llm_router.gateway")


@dataclass(slots=True)
class _Report:
    decision: Decision | None = None
    outcome: Outcome | None = None
    durable: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def follow(self, other: asyncio.Future[None]) -> None:
        """End with another report that has taken this one's records over."""
        if not self.durable.done():
            if other.cancelled():
                self.durable.cancel()
            else:
                self.durable.set_result(None)


class Reporter:
    """A bounded queue of reports; one call to Triton at a time carries all that wait.

    While Triton is down reports are kept and tried again; when the queue is full the oldest is dropped and counted.
    """

    def __init__(
        self,
        triton: TritonClient,
        kept: int,
        lost: Callable[[int], None],
        settled: Callable[[Sequence[Outcome], Spend], None],
    ) -> None:
        """`settled` is told of each group that has become durable, and what keys have spent then."""
        self._triton, self._kept, self._lost, self._settled = triton, kept, lost, settled
        self._refreshed: asyncio.Future[None] | None = None
        self._waiting: OrderedDict[str, _Report] = OrderedDict()
        self._sending: dict[str, _Report] = {}
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    @property
    def depth(self) -> int:
        return len(self._waiting) + len(self._sending)

    def decision(self, decision: Decision) -> None:
        """Report a decision that the gateway made itself."""
        self._report(decision.decision_id).decision = decision

    def outcome(self, outcome: Outcome) -> None:
        """Report what became of a decision."""
        self._report(outcome.decision_id).outcome = outcome

    async def settled(self, decision_id: str, seconds: float) -> bool:
        """Wait until all that was reported of a decision is durable; False if it isn't after `seconds`."""
        until = time.monotonic() + seconds
        while report := self._waiting.get(decision_id) or self._sending.get(decision_id):
            done, _ = await asyncio.wait([report.durable], timeout=until - time.monotonic())
            if not done:
                return False
        return True

    async def refresh(self, seconds: float) -> bool:
        """Ask what keys have spent, by a report that may be empty; False if there is no answer after `seconds`."""
        if self._refreshed is None:
            self._refreshed = asyncio.get_running_loop().create_future()
            self._wake.set()
        done, _ = await asyncio.wait([self._refreshed], timeout=seconds)
        return bool(done)

    async def aclose(self, seconds: float = 2.0) -> None:
        """Send what waits, if Triton takes it at once, and stop."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._keep()  # written twice, should the cancelled call have come through: the store knows each id once
        with contextlib.suppress(TritonError, TimeoutError):
            async with asyncio.timeout(seconds):
                while self._waiting:
                    await self._send_group()
        if self.depth:
            _log.warning("stopped with %d outcomes unreported: Triton did not take them", self.depth)

    def _report(self, decision_id: str) -> _Report:
        report = self._waiting.get(decision_id)
        if report is None:
            report = self._waiting[decision_id] = _Report()
            if len(self._waiting) > self._kept:
                self._drop([self._waiting.popitem(last=False)[1]])
            self._wake.set()
        return report

    def _drop(self, reports: Iterable[_Report]) -> None:
        dropped = list(reports)
        self._lost(len(dropped))
        for report in dropped:
            report.durable.cancel()

    async def _run(self) -> None:
        pause = _PAUSE
        while True:
            await self._wake.wait()
            while self._waiting or self._refreshed:
                try:
                    await self._send_group()
                    pause = _PAUSE
                except TritonError as error:
                    _log.debug("reports wait: %s", error)
                    await asyncio.sleep(pause)
                    pause = min(_MAX_PAUSE, pause * 2)
            self._wake.clear()

    async def _send_group(self) -> None:
        """One call with the oldest reports; a group that is refused for its content goes again one by one.

        Raises:
            TritonError: Triton can't take them now; they wait again.
        """
        self._sending = {key: self._waiting.pop(key) for key in list(self._waiting)[:_GROUP]}
        try:
            await self._send(list(self._sending.values()))
        except TritonError as error:
            if error.code != "INVALID_ARGUMENT":
                self._keep()
                raise
            _log.error("Triton refuses reports: %s", error.message)
            await self._send_singly()
        self._sending = {}

    async def _send_singly(self) -> None:
        for key, report in list(self._sending.items()):
            try:
                await self._send([report])
            except TritonError as error:
                if error.code != "INVALID_ARGUMENT":
                    self._keep()
                    raise
                self._drop([report])
            del self._sending[key]

    async def _send(self, reports: list[_Report]) -> None:
        decisions = [report.decision for report in reports if report.decision]
        outcomes = [report.outcome for report in reports if report.outcome]
        spend = await self._triton.report(decisions, outcomes, _CALL_SECONDS)
        self._settled([report.outcome for report in reports if report.outcome], spend)
        if self._refreshed:
            self._refreshed.set_result(None)
            self._refreshed = None
        for report in reports:
            if not report.durable.done():
                report.durable.set_result(None)

    def _keep(self) -> None:
        """Put an unsent group back in front, joined with what was said of the same decisions in the meantime."""
        for key, report in reversed(self._sending.items()):
            newer = self._waiting.get(key)
            if newer is not None:
                newer.decision = newer.decision or report.decision
                newer.outcome = newer.outcome or report.outcome
                newer.durable.add_done_callback(report.follow)
            else:
                self._waiting[key] = report
            self._waiting.move_to_end(key, last=False)
        self._sending = {}
        while len(self._waiting) > self._kept:
            self._drop([self._waiting.popitem(last=False)[1]])
