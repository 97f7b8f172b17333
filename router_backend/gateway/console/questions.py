"""Asks the router about decisions, traffic, learning and spending, and makes JSON of what it says."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from router_backend.core.records import Place, Recorded
from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.router_host import HostError, RouterHost
from router_backend.state.codec import decode_recorded
from router_backend.state.console import Changes, Latest, One, Question, Rows, Spent, Summed, Sums
from router_backend.state.decision_rows import Wanted
from router_backend.state.spend import Spend, periods
from router_backend.state.traffic import Traffic

PARTS = 24  # of a course over time
_SECONDS = 5.0
_QUESTIONS = 20  # for one page of the console: of 1,000 decisions each
_T = TypeVar("_T")


class Questions:
    """One router, asked as often as a page needs it and no more."""

    def __init__(self, router: RouterHost) -> None:
        self._router = router

    async def latest(self, wanted: Wanted, before: Place | None) -> Rows:
        """A page of decisions; fewer than wanted, with a `next`, where few of many fit the filter."""
        found = Rows([], before)
        for _ in range(_QUESTIONS):
            rest = replace(wanted, limit=wanted.limit - len(found.rows))
            page = await self._ask(Latest(rest, found.next), Rows)
            found = Rows([*found.rows, *page.rows], page.next)
            if found.next is None or len(found.rows) >= wanted.limit:
                break
        return found

    async def one(self, decision_id: str) -> Recorded | None:
        """A decision with what became of it."""
        return decode_recorded(await self._told(One(decision_id)))

    async def traffic(self, seconds: float) -> tuple[Traffic, bool]:
        """Sums of so many seconds up to now, and whether they are of all decisions; else of the latest only."""
        end = time.time()
        traffic, place = Traffic(start=end - seconds, end=end, parts=PARTS), None
        for _ in range(_QUESTIONS):
            summed = await self._ask(Sums(traffic.start, end, PARTS, place), Summed)
            traffic.join(summed.traffic)
            place = summed.next
            if place is None:
                return traffic, True
        return traffic, False

    async def spent(self) -> tuple[str, str, Spend]:
        """This day, this month, and USD by key in each."""
        day, month = periods(time.time())
        spend: Spend = await self._ask(Spent([day, month]), dict[str, dict[str, float]])
        return day, month, spend

    async def changes(self) -> dict[str, Any]:
        """See `steps.found`."""
        return await self._ask(Changes(), dict[str, Any])

    async def _ask(self, asked: Question, kind: type[_T]) -> _T:
        return msgspec.json.decode(await self._told(asked), type=kind)

    async def _told(self, asked: Question) -> bytes:
        try:
            return await self._router.console(asked, _SECONDS)
        except HostError as error:
            said = error.message
            if "console" in said and error.code == "INVALID_ARGUMENT":
                said = "Triton is of an older release than this gateway; upgrade it"
            raise ApiError(
                503,
                f"The state store can't be asked now ({said}); try again, or see `llm-router doctor`",
                type="server_error",
                code="state_unavailable",
                retry_after=1,
            ) from None
