"""Group commit: concurrent callers share one durable write (Hagmann, "Reimplementing the Cedar file system", SOSP 1987).

The first caller to get the lock commits everything that is queued, its own and that of those who wait behind it; these
find their results when the lock comes to them. No thread of its own, no delay for a lone caller.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Ticket(Generic[Item, Result]):
    __slots__ = ("error", "items", "results")

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.results: Sequence[Result] | None = None
        self.error: Exception | None = None


class GroupCommit(Generic[Item, Result]):
    """Joins the items of concurrent `submit` calls into calls of `commit`, at most one at a time."""

    def __init__(self, commit: Callable[[Sequence[Item]], Sequence[Result]], limit: int = 1024) -> None:
        """`commit` writes a group, all or nothing, and returns a result per item; `limit` bounds a group's items."""
        self._commit = commit
        self._limit = limit
        self._leader = threading.Lock()
        self._guard = threading.Lock()
        self._waiting: list[_Ticket[Item, Result]] = []

    def submit(self, items: Sequence[Item]) -> Sequence[Result]:
        """Results of `items`, once they are committed; raises what their group's `commit` raised."""
        ticket: _Ticket[Item, Result] = _Ticket(items)
        with self._guard:
            self._waiting.append(ticket)
        with self._leader:
            while ticket.results is None and ticket.error is None:
                self._lead()
        if ticket.error is not None:
            raise ticket.error
        assert ticket.results is not None
        return ticket.results

    def _lead(self) -> None:
        group = self._take()
        try:
            results = self._commit([item for ticket in group for item in ticket.items])
        except Exception as error:
            for ticket in group:
                ticket.error = error
            return
        start = 0
        for ticket in group:
            ticket.results = results[start : start + len(ticket.items)]
            start += len(ticket.items)

    def _take(self) -> list[_Ticket[Item, Result]]:
        with self._guard:
            count, items = 0, 0
            for ticket in self._waiting:
                if count and items + len(ticket.items) > self._limit:
                    break
                count, items = count + 1, items + len(ticket.items)
            group, self._waiting = self._waiting[:count], self._waiting[count:]
            return group
