"""What lies at an upstream's Batch API counts against the budget of the day that it is, before its bill comes."""

from __future__ import annotations

import pytest

from router_backend.core.records import Outcome
from router_backend.gateway.keys import budgets
from router_backend.gateway.keys.budgets import Budgets

LAST_OF_JANUARY, FIRST_OF_FEBRUARY = 1_769_900_000.0, 1_769_910_000.0  # 22:53 and, the next day, 01:40 UTC


class Clock:
    now = LAST_OF_JANUARY

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(budgets, "time", found)
    return found


def test_what_is_away_over_midnight_counts_on_the_new_day(clock: Clock) -> None:
    known = Budgets()
    held = known.hold("k", 2.0)
    assert known.spent("k") == (2.0, 2.0)
    clock.now = FIRST_OF_FEBRUARY
    held.renew()
    held.renew()
    assert known.spent("k") == (2.0, 2.0)
    known.spend(Outcome(decision_id="d", completed=clock.now, served="a", status=200, cost=1.5, key="k"))
    held.release()
    assert known.spent("k") == (1.5, 1.5)  # the bill is of the day on which the answers came
    clock.now = LAST_OF_JANUARY
    assert known.spent("k") == (0.0, 0.0)


def test_what_nobody_pays_is_not_held(clock: Clock) -> None:
    known = Budgets()
    known.hold("", 2.0).release()
    assert known.spent("") == (0.0, 0.0)
