"""Group commit: concurrent callers share one durable write (Hagmann, "Reimplementing the Cedar file system", SOSP 1987).

A caller that finds nobody at work leads: it commits everything that is queued. Those who come meanwhile queue up, and
the first of them leads next. No thread of its own, and no delay for a lone caller. A leader that comes right after a
group of several waits a moment until as many have come back, without which writers split into two groups that commit in
turn, one of them of a single writer (PostgreSQL's `commit_delay` and `commit_siblings`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

_DELAY_SHARE, _LONGEST_DELAY = 0.5, 0.001  # of a commit's time; seconds

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Ticket(Generic[Item, Result]):
    __slots__ = ("error", "items", "results", "wake")

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.results: Sequence[Result] = ()
        self.error: BaseException | None = None
        self.wake = (
            threading.Lock()
        )  # released when the ticket is served, its owner is to lead, or its group is complete
        self.wake.acquire()


class GroupCommit(Generic[Item, Result]):
    """Joins the items of concurrent `submit` calls into calls of `commit`, at most one at a time."""

    def __init__(self, commit: Callable[[Sequence[Item]], Sequence[Result]], limit: int = 1024) -> None:
        """`commit` writes a group, all or nothing, and returns a result per item; `limit` bounds a group's items."""
        self._commit = commit
        self._limit = limit
        self._guard = threading.Lock()
        self._waiting: list[_Ticket[Item, Result]] = []  # its first leads
        self._led = False
        self._last = 0  # tickets of the last group
        self._gathers_until = 0.0  # their owners may be back by then
        self._gathering = False  # the leader waits for them

    def submit(self, items: Sequence[Item]) -> Sequence[Result]:
        """Results of `items`, once they are committed; raises what their group's `commit` raised."""
        ticket: _Ticket[Item, Result] = _Ticket(items)
        with self._guard:
            self._waiting.append(ticket)
            leads, self._led = not self._led, True
            if self._gathering and len(self._waiting) >= self._last:
                self._gathering = False
                self._waiting[0].wake.release()
        if not leads:
            ticket.wake.acquire()
            with self._guard:
                leads = bool(self._waiting) and self._waiting[0] is ticket
        if leads:
            self._gather(ticket)
            self._lead(ticket)
        if ticket.error is not None:
            raise ticket.error
        return ticket.results

    def _gather(self, leader: _Ticket[Item, Result]) -> None:
        with self._guard:
            remaining = self._gathers_until - time.perf_counter()
            self._gathering = remaining > 0 and len(self._waiting) < self._last
            if not self._gathering:
                return
        leader.wake.acquire(timeout=remaining)
        with self._guard:
            self._gathering = False

    def _lead(self, leader: _Ticket[Item, Result]) -> None:
        group, started = self._take(), time.perf_counter()
        try:
            results = self._commit([item for ticket in group for item in ticket.items])
            start = 0
            for ticket in group:
                ticket.results = results[start : start + len(ticket.items)]
                start += len(ticket.items)
        except BaseException as error:
            for ticket in group:
                ticket.error = error
        ended = time.perf_counter()
        with self._guard:
            self._last = len(group)
            self._gathers_until = ended + min(_LONGEST_DELAY, _DELAY_SHARE * (ended - started))
            self._led = bool(self._waiting)
            if self._led:
                self._waiting[0].wake.release()
        for ticket in group:
            if ticket is not leader:
                ticket.wake.release()

    def _take(self) -> list[_Ticket[Item, Result]]:
        with self._guard:
            count, items = 0, 0
            for ticket in self._waiting:
                if count and items + len(ticket.items) > self._limit:
                    break
                count, items = count + 1, items + len(ticket.items)
            group, self._waiting = self._waiting[:count], self._waiting[count:]
            return group
