"""Limits of keys that hold for all workers together: rates and spending."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from router_backend.gateway.keys.budgets import Charge, Spending
from router_backend.gateway.keys.rates import Rates
from router_backend.gateway.workers.shared import Full, Shared
from router_backend.state.rates import Use
from router_backend.state.spend import Spend

_MONTH = len("2026-01")
_log = logging.getLogger("llm_router.gateway")


class SharedRates(Rates):
    """Token buckets of all workers, told to the store by any of them."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared.rates)
        self._own = Rates()  # of names for which there is no room

    def wait(self, name: str, per_minute: int) -> float:
        return super().wait(name, per_minute) if self._has_room(name) else self._own.wait(name, per_minute)

    def take(self, name: str, per_minute: int) -> float:
        return super().take(name, per_minute) if self._has_room(name) else self._own.take(name, per_minute)

    def count(self, name: str, per_minute: int, amount: float) -> None:
        if self._has_room(name):
            super().count(name, per_minute, amount)
        else:
            self._own.count(name, per_minute, amount)

    def begin(self, limits: Mapping[str, int]) -> list[Use]:
        return super().begin({name: limit for name, limit in limits.items() if self._has_room(name)})

    def _has_room(self, name: str) -> bool:
        try:
            self._table.find(name)
        except Full:
            _log.error("no room for another key: each worker counts its rate for itself; restart the gateway")
            return False
        return True


class SharedSpending(Spending):
    """A record by key and kind of period: the period and its USD as the store knows them, and the same of each worker, for what
    the store doesn't know yet. A worker alone writes its own; that of one that was killed stays until its successor has read
    the journal.
    """

    def __init__(self, shared: Shared) -> None:
        super().__init__()
        self._table, self._own = shared.spent, 2 * (1 + shared.index)
        self._workers = shared.workers

    def begin(self, charges: Iterable[Charge]) -> None:
        sums: dict[int, tuple[float, float]] = {}  # by record
        for period, key, usd in charges:
            record, number = self._record(period, key), _number(period)
            if record is None:
                super().add(period, key, usd)
                continue
            latest, sum_ = sums.get(record, (0.0, 0.0))
            if number >= latest:
                sums[record] = (number, usd + (sum_ if number == latest else 0.0))
        numbers = self._table.numbers
        for record in {*self._table, *sums}:
            numbers[record + self._own], numbers[record + self._own + 1] = sums.get(record, (0.0, 0.0))

    def add(self, period: str, key: str, usd: float) -> None:
        record, number = self._record(period, key), _number(period)
        if record is None:
            super().add(period, key, usd)
            return
        numbers, own = self._table.numbers, record + self._own
        if numbers[own] == number:
            numbers[own + 1] += usd
        elif numbers[own] < number:  # a new day, or month
            numbers[own + 1], numbers[own] = max(0.0, usd), number

    def settle(self, charges: Iterable[Charge], stored: Spend) -> None:
        before = self._stored
        super().settle((), stored)
        for period, spent in stored.items():
            known = before.get(period, {})
            for key, usd in spent.items():
                if known.get(key) != usd:
                    self._store(period, key, usd)
        for period, key, usd in charges:  # after the above, so that it never counts less than was spent
            self.add(period, key, -usd)

    def spent(self, period: str, key: str) -> float:
        record, number = self._record(period, key), _number(period)
        if record is None:
            return super().spent(period, key)
        pairs = range(record, record + 2 * (1 + self._workers), 2)
        return sum(self._table.numbers[at + 1] for at in pairs if self._table.numbers[at] == number)

    def _store(self, period: str, key: str, usd: float) -> None:
        record = self._record(period, key)
        if record is None:
            return
        numbers = self._table.numbers
        with self._table.changing(record):
            # Answers to several workers come in any order: within a period spending only grows.
            known = (numbers[record], numbers[record + 1])
            numbers[record], numbers[record + 1] = max(known, (_number(period), usd))

    def _record(self, period: str, key: str) -> int | None:
        """None: there is no room."""
        try:
            return self._table.find(f"{'day' if len(period) > _MONTH else 'month'} {key}")
        except Full:
            _log.error("no room for another key: each worker counts its spending for itself; restart the gateway")
            return None


def _number(period: str) -> float:
    """In the order of time, among days or months."""
    return float(period.replace("-", ""))
