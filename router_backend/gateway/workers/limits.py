"""Limits of keys that hold for all workers together: rates and spending."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from router_backend.gateway.keys.auth import Rates, taken
from router_backend.gateway.keys.budgets import Charge, Spending
from router_backend.gateway.workers.shared import Full, Shared
from router_backend.state.spend import Spend

_MONTH = len("2026-01")
_log = logging.getLogger("llm_router.gateway")


class SharedRates(Rates):
    """Token buckets of all workers."""

    def __init__(self, shared: Shared) -> None:
        super().__init__()
        self._table = shared.rates

    def take(self, key: str, what: str, per_minute: int) -> float:
        try:
            bucket = self._table.find(f"{what} {key}")
        except Full:
            _log.error("no room for another key: each worker counts its rate for itself; restart the gateway")
            return super().take(key, what, per_minute)
        numbers = self._table.numbers
        with self._table.changing(bucket):
            tokens, counted = numbers[bucket], numbers[bucket + 1]
            now = time.monotonic()
            numbers[bucket], wait = taken(tokens if counted else float(per_minute), counted or now, now, per_minute)
            numbers[bucket + 1] = now
        return wait


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
