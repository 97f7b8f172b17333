"""What workers hold together, as several views of one memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from router_backend.core.records import Outcome
from router_backend.gateway.keys.budgets import Budgets
from router_backend.gateway.workers.limits import SharedRates, SharedSpending
from router_backend.gateway.workers.place import Place
from router_backend.gateway.workers.sessions import SharedSessions
from router_backend.gateway.workers.shared import Shared, allocate
from router_backend.gateway.workers.slots import SharedSlots
from router_backend.state.spend import periods

SESSIONS = 64
Views = Callable[[int], Shared]


@pytest.fixture
def view() -> Iterator[Views]:
    """Of three workers, by their number."""
    memory = allocate(3, SESSIONS)
    yield lambda index: Shared(Place(index, 3, "", (), memory, SESSIONS))
    os.close(memory)


def outcome(usd: float, completed: float | None = None) -> Outcome:
    at = time.time() if completed is None else completed
    return Outcome(decision_id="d", completed=at, served="a", status=200, cost=usd, key="k")


def test_tokens_are_taken_from_one_bucket(view: Views) -> None:
    first, second = SharedRates(view(0)), SharedRates(view(1))
    assert [rates.take("chat k", 2) == 0 for rates in (first, second, first, second)] == [True, True, False, False]
    assert second.take("feedback k", 1) == 0
    assert second.take("chat other", 1) == 0


def test_a_lock_of_a_frozen_worker_is_passed_over(view: Views) -> None:
    shared = view(0)
    SharedRates(shared).take("chat k", 2)
    program = (
        "import fcntl, os, sys, signal; fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX); print(flush=True); signal.pause()"
    )
    memory: Any = shared.rates._descriptor
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(memory)], pass_fds=[memory], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    os.kill(holder.pid, signal.SIGSTOP)
    assert SharedRates(view(1)).take("chat k", 2) == 0
    assert SharedRates(view(1)).take("chat k", 2) > 0
    holder.kill()
    holder.wait()


def test_spending_is_summed_settled_and_taken_over(view: Views) -> None:
    workers = [Budgets(SharedSpending(view(index))) for index in range(3)]
    for usd, budgets in zip((1.0, 2.0, 4.0), workers, strict=True):
        budgets.spend(outcome(usd))
    assert {budgets.spent("k") for budgets in workers} == {(7.0, 7.0)}
    stored = {period: {"k": 1.0} for period in periods(time.time())}
    workers[0].settled([outcome(1.0)], stored)
    assert {budgets.spent("k") for budgets in workers} == {(7.0, 7.0)}
    workers[1].settled([], {period: {"k": 0.5} for period in stored})  # an older answer
    assert workers[2].spent("k") == (7.0, 7.0)
    again = Budgets(SharedSpending(view(1)))  # it was killed, and 2.0 stand in its journal
    assert again.spent("k") == (7.0, 7.0)
    again.begin([outcome(2.0)])
    assert again.spent("k") == (7.0, 7.0)
    Budgets(SharedSpending(view(2))).begin([])  # all of its outcomes were reported
    assert again.spent("k") == (3.0, 3.0)


def test_another_day_begins_with_nothing_spent(view: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    budgets, now = Budgets(SharedSpending(view(0))), 1_790_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    budgets.spend(outcome(1.0))
    now += 86_400
    assert budgets.spent("k") == (0.0, 1.0)
    budgets.spend(outcome(2.0))
    budgets.settled([outcome(1.0, now - 86_400)], {periods(now)[1]: {"k": 1.0}})  # a report of yesterday's
    assert budgets.spent("k") == (2.0, 3.0)


def test_sessions_are_known_to_all_and_the_oldest_are_forgotten(view: Views) -> None:
    first, second = SharedSessions(view(0)), SharedSessions(view(1))
    assert second.model("k", "s") == ""
    first.answered("k", "s", "model/a:1")
    assert second.model("k", "s") == "model/a:1"
    assert second.model("other", "s") == ""
    second.answered("k", "s", "b")
    assert first.model("k", "s") == "b"
    first.answered("k", "long", "m" * 300)
    assert first.model("k", "long") == ""
    for number in range(40 * SESSIONS):
        first.answered("k", f"s{number}", "c")
        assert second.model("k", "s") == "b"  # in use
    known = sum(second.model("k", f"s{number}") == "c" for number in range(40 * SESSIONS))
    assert SESSIONS / 2 < known <= 2 * SESSIONS


def test_slots_of_a_worker_that_ended_are_free(view: Views) -> None:
    first, second = (SharedSlots(view(index), "a", 2) for index in range(2))
    assert [first.take(), second.take(), second.take()] == [True, True, False]
    view(2).forget_slots(0)
    assert second.take()
    second.give_back()
    second.give_back()
    assert [first.take() for _ in range(3)].count(True) >= 2
