"""What keys have spent and what they may: by all gateways of the deployment, as the store knows it, and by this one since."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from router_backend.config.security import ApiKey
from router_backend.core.records import Outcome
from router_backend.gateway.http.errors import ApiError
from router_backend.state.spend import Spend, charges, periods

Charge = tuple[str, str, float]
"""Period, key, USD."""


class Spending:
    """USD by period and key: what the store knows, and what it doesn't know yet."""

    def __init__(self) -> None:
        self._stored: Spend = {}
        self._unsettled: defaultdict[tuple[str, str], float] = defaultdict(float)

    def begin(self, charges: Iterable[Charge]) -> None:
        """What an earlier process has left is on its way to the store."""
        for period, key, usd in charges:
            self.add(period, key, usd)

    def add(self, period: str, key: str, usd: float) -> None:
        """This is on its way to the store."""
        self._unsettled[period, key] += usd

    def settle(self, charges: Iterable[Charge], stored: Spend) -> None:
        """The store has these charges now, and says what was spent altogether."""
        self._stored = stored
        for period, key, usd in charges:
            self._unsettled[period, key] -= usd
        current = periods(time.time())
        for period, key in [entry for entry in self._unsettled if entry[0] not in current]:
            del self._unsettled[period, key]

    def spent(self, period: str, key: str) -> float:
        return self._stored.get(period, {}).get(key, 0.0) + self._unsettled.get((period, key), 0.0)


class Hold:
    """What a key is going to pay: of the day and the month that it is, since its bill comes on one that is still to come."""

    def __init__(self, spending: Spending, key: str, usd: float) -> None:
        self._spending, self._key, self._usd = spending, key, usd
        self._counted: list[str] = []  # periods
        self.renew()

    def renew(self) -> None:
        """Count it in the period that has begun meanwhile, too."""
        for period in periods(time.time()) if self._key else ():
            if period not in self._counted:
                self._counted.append(period)
                self._spending.add(period, self._key, self._usd)

    def release(self) -> None:
        """It is spent now, or never will be."""
        while self._counted:
            self._spending.add(self._counted.pop(), self._key, -self._usd)


class Budgets:
    """Spending by key and period. It survives a reload of the configuration here, and a restart in the store."""

    def __init__(self, spending: Spending | None = None) -> None:
        """`spending`: of all workers; None: there is one."""
        self._spending = spending or Spending()

    def begin(self, outcomes: Iterable[Outcome]) -> None:
        """An earlier process has left these, and they are on the way to the store. Before anything else."""
        self._spending.begin([charge for outcome in outcomes for charge in charges(outcome)])

    def spend(self, outcome: Outcome) -> None:
        """An answer has ended; its outcome is on the way to the store."""
        for charge in charges(outcome):
            self._spending.add(*charge)

    def hold(self, key: str, usd: float) -> Hold:
        """What is promised counts as spent, until it is given back."""
        return Hold(self._spending, key, usd)

    def settled(self, outcomes: Sequence[Outcome], stored: Spend) -> None:
        """The store has these outcomes now, and says what was spent altogether; nothing from a router of an older build."""
        if stored:
            self._spending.settle([charge for outcome in outcomes for charge in charges(outcome)], stored)

    def spent(self, key: str) -> tuple[float, float]:
        """USD of this day and of this month, in UTC."""
        day, month = (self._spending.spent(period, key) for period in periods(time.time()))
        return day, month

    def afford(self, key: ApiKey) -> None:
        """Raises ApiError (429) when a budget of the key is spent."""
        if not limited(key):
            return
        day, month = self.spent(key.name)
        now = datetime.now(UTC)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        next_month = (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
        if key.usd_per_month and month >= key.usd_per_month:
            raise _spent(key.usd_per_month, "month", next_month, now)
        if key.usd_per_day and day >= key.usd_per_day:
            raise _spent(key.usd_per_day, "day", midnight + timedelta(days=1), now)


def limited(key: ApiKey) -> bool:
    return bool(key.usd_per_day or key.usd_per_month)


def _spent(budget: float, period: str, renewed: datetime, now: datetime) -> ApiError:
    return ApiError(
        429,
        f"The budget of {budget:g} USD per {period} is spent; a new one begins at {renewed:%Y-%m-%d %H:%M} UTC",
        type="insufficient_quota",
        code="insufficient_quota",
        retry_after=(renewed - now).total_seconds(),
        headers=[(b"x-should-retry", b"false")],
    )
