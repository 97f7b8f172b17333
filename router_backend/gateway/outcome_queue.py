"""Tells Triton's `feedback` model what became of decisions, in the background, in groups, through its outages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from router_backend.core.background import Failed, kept
from router_backend.core.records import Decision, Outcome
from router_backend.gateway.journal import Journal, Segment
from router_backend.gateway.router_host import HostError, RouterHost
from router_backend.state.spend import BEHIND, NEWS, Spend

_GROUP = 256
_CALL_SECONDS = 5.0
_PAUSE = 0.05  # seconds between tries, doubled up to the next
_MAX_PAUSE = 2.0
_LINGER = 0.2
"""Seconds that a group waits for company, if nobody waits for it: a call to Triton and a commit cost as much as forty records."""
_log = logging.getLogger("llm_router.gateway")


@dataclass(slots=True)
class _Entry:
    """All that waits to be sent of one decision."""

    decision: Decision | None = None
    outcome: Outcome | None = None
    segments: list[Segment] = field(default_factory=list)  # of the journal, that hold them
    durable: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def settle(self) -> None:
        """It is in the store, or never will be: the journal may forget it."""
        for segment in self.segments:
            segment.reported()
        self.segments = []

    def follow(self, other: asyncio.Future[None]) -> None:
        """End with another entry that has taken this one's records over."""
        if not self.durable.done():
            if other.cancelled():
                self.durable.cancel()
            else:
                self.durable.set_result(None)


class OutcomeQueue:
    """A bounded queue of decisions and outcomes; one call to Triton at a time carries all that wait.

    While Triton is down they are kept and tried again; when the queue is full the oldest is dropped and counted. One
    that can't be sent at all is dropped and counted, too, and holds up no other.
    """

    def __init__(
        self,
        router: RouterHost,
        capacity: int,
        on_drop: Callable[[int], None],
        on_durable: Callable[[Sequence[Outcome], Spend], None],
        journal: Journal | None = None,
        on_failure: Failed | None = None,
    ) -> None:
        """`on_durable` hears of each group that has become durable, and what keys have spent then; `on_failure` of errors
        that are ours.

        `journal`: where outcomes survive this process meanwhile. It stays the caller's.
        """
        self._journal, self._on_failure = journal, on_failure
        self._hurry = asyncio.Event()  # somebody waits for what is queued
        self._router, self._capacity, self._on_drop, self._on_durable = router, capacity, on_drop, on_durable
        self._refreshed: asyncio.Future[None] | None = None
        self._waiting: OrderedDict[str, _Entry] = OrderedDict()
        self._sending: dict[str, _Entry] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.behind: int | None = None
        """Events that the router which is furthest behind has still to learn from; None: no router has said so."""

    @property
    def depth(self) -> int:
        return len(self._waiting) + len(self._sending)

    def start(self) -> None:
        """Send from now on, on the running loop."""
        self._task = asyncio.create_task(kept("outcomes", self._run, self._on_failure))

    def decision(self, decision: Decision) -> None:
        """Queue a decision that the gateway made itself."""
        self._entry(decision.decision_id).decision = decision

    def outcome(self, outcome: Outcome, decision: Decision | None = None) -> None:
        """Queue what became of a decision; it is in the journal when this returns.

        `decision`: the gateway's own, which may not have left yet.
        """
        segment = self._journal.append(decision, outcome) if self._journal else None
        entry = self._entry(outcome.decision_id)
        entry.outcome = outcome
        if segment:
            entry.segments.append(segment)

    def adopt(self) -> Iterator[Outcome]:
        """Queue what a process before this one has left in the journal. Called once, before anything else is queued."""
        for segment, (decisions, outcomes) in self._journal.orphans() if self._journal else ():
            for decision in decisions:
                self.decision(decision)
            for outcome in outcomes:
                entry = self._entry(outcome.decision_id)
                entry.outcome = outcome
                entry.segments.append(segment)
                yield outcome

    async def settled(self, decision_id: str, seconds: float) -> None:
        """Wait until all that was queued of a decision is durable or dropped, for `seconds` at most."""
        until = time.monotonic() + seconds
        if self.waits(decision_id):
            self._hurry.set()
        while entry := self._waiting.get(decision_id) or self._sending.get(decision_id):
            done, _ = await asyncio.wait([entry.durable], timeout=until - time.monotonic())
            if not done:
                return

    async def room(self) -> None:
        """Wait while it is half full, for outcomes that come faster than requests do: of those none need be dropped."""
        while self.depth > self._capacity // 2:
            self._hurry.set()
            await asyncio.sleep(_PAUSE)

    def waits(self, decision_id: str) -> bool:
        """Whether something of a decision isn't durable yet."""
        return decision_id in self._waiting or decision_id in self._sending

    async def refresh(self, seconds: float) -> bool:
        """Ask what keys have spent, by a group that may be empty; False if the store didn't answer within `seconds`."""
        if self._refreshed is None:
            self._refreshed = asyncio.get_running_loop().create_future()
            self._hurry.set()
            self._wake.set()
        done, _ = await asyncio.wait([self._refreshed], timeout=seconds)
        return bool(done)

    async def aclose(self, seconds: float = 2.0) -> None:
        """Send what waits, if Triton takes it at once, and stop."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._put_back()  # written twice, should the cancelled call have come through: the store knows each id once
        try:
            async with asyncio.timeout(seconds):
                while self._waiting:
                    await self._send_group()
        except (HostError, TimeoutError):
            pass
        except Exception as error:  # whatever it is: the gateway stops all the same
            _log.error("sending the last outcomes failed with %s", type(error).__name__)
        if self.depth:
            kept = "the next start sends them" if self._journal and not self._journal.failure else "they are lost"
            _log.warning("stopped with %d outcomes unsent, Triton did not take them: %s", self.depth, kept)

    def _entry(self, decision_id: str) -> _Entry:
        entry = self._waiting.get(decision_id)
        if entry is None:
            entry = self._waiting[decision_id] = _Entry()
            if len(self._waiting) > self._capacity:
                self._drop([self._waiting.popitem(last=False)[1]])
            self._wake.set()
        return entry

    def _drop(self, entries: Iterable[_Entry]) -> None:
        dropped = list(entries)
        self._on_drop(len(dropped))
        for entry in dropped:
            entry.settle()
            entry.durable.cancel()

    async def _run(self) -> None:
        pause = _PAUSE
        while True:
            await self._wake.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LINGER):
                    await self._hurry.wait()
            while self._waiting or self._refreshed:
                try:
                    await self._send_group()
                    pause = _PAUSE
                    continue
                except HostError as error:
                    _log.debug("outcomes wait: %s", error)
                except Exception:  # it begins again, with all that waits
                    self._put_back()
                    raise
                await asyncio.sleep(pause)
                pause = min(_MAX_PAUSE, pause * 2)
            self._hurry.clear()
            self._wake.clear()

    async def _send_group(self) -> None:
        """One call with the oldest entries; a group that can't be sent for its content goes again one by one.

        Raises:
            HostError: Triton can't take them now; they wait again.
        """
        self._sending = {key: self._waiting.pop(key) for key in list(self._waiting)[:_GROUP]}
        if not await self._sent(list(self._sending.values())):
            if not self._sending:
                raise HostError("error", message="Triton refuses a group without content")
            for key, entry in list(self._sending.items()):
                if not await self._sent([entry]):
                    self._drop([entry])
                self._sending.pop(key, None)
        self._sending = {}

    async def _sent(self, entries: list[_Entry]) -> bool:
        """Send entries in one call; False if one of them makes it impossible.

        Raises:
            HostError: Triton can't take them now; all that were being sent wait again.
        """
        decisions = [entry.decision for entry in entries if entry.decision]
        outcomes = [entry.outcome for entry in entries if entry.outcome]
        try:
            spend = await self._router.report(decisions, outcomes, _CALL_SECONDS)
        except HostError as error:
            if error.code != "INVALID_ARGUMENT":
                self._put_back()
                raise
            _log.error("Triton refuses outcomes: %s", error.message)
            return False
        except Exception as error:  # it couldn't be written down
            _log.error("outcomes can't be sent: %s", type(error).__name__)
            return False
        for entry in entries:
            entry.settle()
            if not entry.durable.done():
                entry.durable.set_result(None)
        # Whatever fails from here on, these are in the store: they don't wait again.
        self._sending = {key: entry for key, entry in self._sending.items() if not entry.durable.done()}
        self.behind = _behind(spend)
        self._on_durable(outcomes, {period: sums for period, sums in spend.items() if period != NEWS})
        if self._refreshed:
            self._refreshed.set_result(None)
            self._refreshed = None
        return True

    def _put_back(self) -> None:
        """Put an unsent group back in front, joined with what came of the same decisions in the meantime."""
        for key, entry in reversed(self._sending.items()):
            newer = self._waiting.get(key)
            if newer is not None:
                newer.decision = newer.decision or entry.decision
                newer.outcome = newer.outcome or entry.outcome
                newer.segments += entry.segments
                entry.segments = []
                newer.durable.add_done_callback(entry.follow)
            else:
                self._waiting[key] = entry
            self._waiting.move_to_end(key, last=False)
        self._sending = {}
        while len(self._waiting) > self._capacity:
            self._drop([self._waiting.popitem(last=False)[1]])


def _behind(spend: Spend) -> int | None:
    news = spend.get(NEWS, {}).get(BEHIND)
    return None if news is None else int(news)
