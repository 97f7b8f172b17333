"""Slots of an arm (`max_concurrency`) that all workers take from."""

from __future__ import annotations

from router_backend.forwarding.guards.limiter import Slots
from router_backend.gateway.workers.shared import Full, Shared


class SharedSlots(Slots):
    """Each worker writes how many it holds; the parent writes 0 for one that has ended."""

    polled = True

    def __init__(self, shared: Shared, arm: str, count: int) -> None:
        """Raises ValueError when there is no room for another arm."""
        super().__init__(count)
        self._table, self._workers = shared.slots, shared.workers
        try:
            self._record = self._table.find(arm)
        except Full:
            raise ValueError(f"no room for the arm {arm}, after many others; restart the gateway") from None
        self._own = self._record + shared.index

    def take(self, most: int | None = None) -> bool:
        count = self._count if most is None else min(most, self._count)
        numbers = self._table.numbers
        with self._table.changing(self._record):
            free = sum(numbers[self._record : self._record + self._workers]) < count
            if free:
                numbers[self._own] += 1
        return free

    def give_back(self) -> None:
        self._table.numbers[self._own] -= 1
