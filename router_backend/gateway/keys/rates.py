"""Token buckets that all gateways share. No request waits for the store: it is told later what was taken.

What a bucket holds is what the store said, refilled, less what was taken here since. Between two words with the store a gateway
may take a lease's worth, so that all together take at most that of each too much, once: the store's bucket goes below zero then,
and the next minute has less. While the store is away each gateway has its fair share of the rate, and of what was left.
"""

from __future__ import annotations

import contextlib
import time
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from router_backend.state.rates import Levels, Use, refilled

NUMBERS = 6
"""Of a bucket: what is left, and when that was so; what the store wasn't told; what it is being told, and since when; whether the
store was away."""
_LEFT, _COUNTED, _USED, _SENT, _SENT_AT, _AWAY = range(NUMBERS)
_GATEWAYS, _HEARD = range(2)  # of the record of all: how many gateways there are, and when the store said so
_ALL = "all gateways"
AWAY_SECONDS = 5.0
"""Without a word for as long the store is away."""
CALL_SECONDS = 2.0
SETTLE_SECONDS = 0.1  # until the store is told, at the latest
ASK_SECONDS = 2.0  # between two questions what is left, while nothing is taken here
_FEW = 5
"""A lease isn't smaller, or a client that sends two requests at once would be refused while much is left."""


class Numbers(Protocol):
    """Records of numbers by name; `workers.shared.Table` is one that several processes have."""

    @property
    def numbers(self) -> Any:
        """All of them, as a mutable sequence of floats."""
        ...

    def find(self, name: str) -> int:
        """The place of a record's first number, zeros where it is new."""
        ...

    def changing(self, record: int) -> AbstractContextManager[None]:
        """Nobody else changes a record meanwhile."""
        ...


class OwnNumbers:
    """Of one process."""

    def __init__(self) -> None:
        self.numbers = array("d")
        self._found: dict[str, int] = {}

    def find(self, name: str) -> int:
        record = self._found.get(name)
        if record is None:
            record = self._found[name] = len(self.numbers)
            self.numbers.extend([0.0] * NUMBERS)
        return record

    def changing(self, record: int) -> AbstractContextManager[None]:
        return contextlib.nullcontext()


def lease(per_minute: float, gateways: int) -> float:
    """What a gateway may take between two words with the store: of n gateways half a minute's worth divided by n."""
    return per_minute if gateways <= 1 else max(per_minute / (2 * gateways), min(per_minute, _FEW))


class Rates:
    """Buckets by name. They survive a reload of the configuration, and a restart in the store."""

    def __init__(self, table: Numbers | None = None) -> None:
        """`table`: of all workers; None: there is one."""
        self._table: Numbers = table or OwnNumbers()

    @property
    def gateways(self) -> int:
        """How many share the rates, as the store knows; 1 before it said anything."""
        return max(1, int(self._table.numbers[self._table.find(_ALL) + _GATEWAYS]))

    @property
    def heard(self) -> float:
        """Seconds since the store's last word."""
        last: float = self._table.numbers[self._table.find(_ALL) + _HEARD]
        return time.monotonic() - last

    @property
    def away(self) -> bool:
        """Whether each gateway keeps its fair share by itself."""
        return self.heard > AWAY_SECONDS or not self._table.numbers[self._table.find(_ALL) + _HEARD]

    def wait(self, name: str, per_minute: int) -> float:
        """Seconds until one may be taken; 0: now."""
        record = self._table.find(name)
        with self._table.changing(record):
            return self._wait(record, per_minute)

    def take(self, name: str, per_minute: int) -> float:
        """Take one of `per_minute`; returns seconds to wait, 0 if it was granted."""
        record = self._table.find(name)
        with self._table.changing(record):
            wait = self._wait(record, per_minute)
            if not wait:
                self._count(record, 1.0)
        return wait

    def left(self, name: str, per_minute: int) -> tuple[float, float]:
        """What may be taken, as far as is known here, and seconds until the bucket is full if nobody takes any more."""
        record = self._table.find(name)
        with self._table.changing(record):
            share = self._refill(record, per_minute)
            left = float(self._table.numbers[record + _LEFT])
        return left, max(0.0, share - left) * 60 / share

    def count(self, name: str, per_minute: int, amount: float) -> None:
        """So much was used, whether there was as much or not; negative: given back."""
        record = self._table.find(name)
        with self._table.changing(record):
            self._refill(record, per_minute)
            self._count(record, amount)

    def untold(self, name: str) -> float:
        """What was taken and the store doesn't know."""
        return self._untold(self._table.find(name))

    def begin(self, limits: Mapping[str, int]) -> list[Use]:
        """What the store is to be told now; `settled` or `failed` follows. `limits`: per minute, by name."""
        uses, numbers = [], self._table.numbers
        for name, per_minute in limits.items():
            record = self._table.find(name)
            if not self._due(record, per_minute):
                continue
            with self._table.changing(record):
                if not self._due(record, per_minute):
                    continue
                self._refill(record, per_minute)
                used = self._untold(record)
                if numbers[record + _AWAY]:  # the share was kept: the store hears what is missing of it
                    used = min(used, max(0.0, per_minute / self.gateways - numbers[record + _LEFT]))
                numbers[record + _USED], numbers[record + _SENT], numbers[record + _SENT_AT] = (
                    0.0,
                    used,
                    time.monotonic(),
                )
            uses.append(Use(name=name, per_minute=per_minute, used=used))
        return uses

    def settled(self, uses: Sequence[Use], levels: Levels) -> None:
        """The store knows these, and says what is left."""
        numbers, now = self._table.numbers, time.monotonic()
        everything = self._table.find(_ALL)
        numbers[everything + _GATEWAYS], numbers[everything + _HEARD] = float(levels.gateways), now
        for use in uses:
            record = self._table.find(use.name)
            with self._table.changing(record):
                left = levels.left.get(use.name, 0.0) - numbers[record + _USED]
                numbers[record + _LEFT], numbers[record + _COUNTED], numbers[record + _AWAY] = left, now, 0.0
                numbers[record + _SENT] = 0.0

    def failed(self, uses: Iterable[Use]) -> None:
        """The store may not know these."""
        for use in uses:
            record = self._table.find(use.name)
            with self._table.changing(record):
                self._table.numbers[record + _USED] += self._table.numbers[record + _SENT]
                self._table.numbers[record + _SENT] = 0.0

    def _wait(self, record: int, per_minute: int) -> float:
        numbers = self._table.numbers
        share = self._refill(record, per_minute)
        if numbers[record + _LEFT] < 1:
            return (1 - float(numbers[record + _LEFT])) * 60 / share
        if not numbers[record + _AWAY] and self._untold(record) >= lease(per_minute, self.gateways):
            return SETTLE_SECONDS
        return 0.0

    def _due(self, record: int, per_minute: int) -> bool:
        """Whether the store has to be told, or asked: others may have taken from a bucket that isn't full. What another worker
        tells is left to it, unless it was killed in between.
        """
        since: float = time.monotonic() - self._table.numbers[record + _SENT_AT]
        if self._table.numbers[record + _SENT]:
            return since > 2 * CALL_SECONDS
        if self._table.numbers[record + _USED]:
            return True
        if not self._table.numbers[record + _COUNTED] or since < ASK_SECONDS:
            return False
        share = self._refill(record, per_minute)
        return bool(self._table.numbers[record + _LEFT] < share)

    def _untold(self, record: int) -> float:
        used: float = self._table.numbers[record + _USED] + self._table.numbers[record + _SENT]
        return used

    def _count(self, record: int, amount: float) -> None:
        self._table.numbers[record + _LEFT] -= amount
        self._table.numbers[record + _USED] += amount

    def _refill(self, record: int, per_minute: int) -> float:
        """Bring a bucket up to this moment; returns what it may hold and gets in a minute."""
        numbers, now, away = self._table.numbers, time.monotonic(), self.away
        share = per_minute / self.gateways if away else float(per_minute)
        if not numbers[record + _COUNTED]:
            numbers[record + _LEFT] = share
        else:
            before = share if numbers[record + _AWAY] else float(per_minute)
            numbers[record + _LEFT] = refilled(numbers[record + _LEFT], now - numbers[record + _COUNTED], before)
            if away and not numbers[record + _AWAY]:  # what was left, or is missing, was everybody's
                numbers[record + _LEFT] /= self.gateways
        numbers[record + _COUNTED] = now
        if away or not numbers[record + _USED]:
            numbers[record + _AWAY] = float(away)
        return share
