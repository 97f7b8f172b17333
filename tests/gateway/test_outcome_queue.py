"""The queue's sender outlives whatever happens to it: without it no outcome would leave any more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from router_backend.core.records import Decision, Outcome
from router_backend.gateway.outcome_queue import OutcomeQueue
from router_backend.gateway.router_host import HostError
from router_backend.gateway.triton_client import TritonClient
from router_backend.state.spend import BEHIND, NEWS, Spend


class Receiver:
    """In Triton's place: keeps outcomes by their decision, and fails with those errors first."""

    def __init__(self, *errors: Exception, acknowledgement: Spend | None = None) -> None:
        self._errors, self._acknowledgement = list(errors), acknowledgement or {}
        self.outcomes: dict[str, Outcome] = {}
        self.calls = 0

    async def report(self, decisions: Sequence[Decision], outcomes: Sequence[Outcome], seconds: float) -> Spend:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        self.outcomes |= {outcome.decision_id: outcome for outcome in outcomes}
        return self._acknowledgement


def outcome(decision_id: str) -> Outcome:
    return Outcome(decision_id=decision_id, completed=0, served="a", status=200)


async def emptied(queue: OutcomeQueue) -> None:
    async with asyncio.timeout(10):
        while queue.depth:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("error", [ValueError("not a record"), KeyError("x"), RuntimeError("grpc")])
async def test_a_group_that_fails_goes_again_one_by_one(error: Exception) -> None:
    receiver, lost = Receiver(error), list[int]()
    queue = OutcomeQueue(cast(TritonClient, receiver), 100, lost.append, lambda *_: None)
    queue.outcome(outcome("1"))
    queue.outcome(outcome("2"))
    queue.start()
    await emptied(queue)
    assert receiver.outcomes.keys() == {"1", "2"}
    assert not lost
    await queue.aclose()


async def test_a_failure_after_the_call_does_not_end_the_sender() -> None:
    calls = 0

    def on_durable(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError

    receiver = Receiver()
    queue = OutcomeQueue(cast(TritonClient, receiver), 100, lambda _: None, on_durable)
    queue.start()
    for decision_id in "123":
        queue.outcome(outcome(decision_id))
        await emptied(queue)
    assert receiver.outcomes.keys() == {"1", "2", "3"}
    await queue.aclose()


async def test_what_is_durable_does_not_wait_again_when_something_fails_after_the_call() -> None:
    """Else it would be sent for ever, and feedback that waits for it would keep the loop busy."""

    def on_durable(*_: Any) -> None:
        raise ValueError("spending can't be counted")

    receiver, failed = Receiver(), asyncio.Event()
    queue = OutcomeQueue(
        cast(TritonClient, receiver), 100, lambda _: None, on_durable, on_failure=lambda *_: failed.set()
    )
    queue.outcome(outcome("1"))
    queue.start()
    await queue.settled("1", 10)
    await failed.wait()
    assert not queue.waits("1")
    assert receiver.calls == 1
    await queue.aclose()


async def test_news_in_an_acknowledgement_are_nobodys_spending() -> None:
    heard: list[Spend] = []
    receiver = Receiver(acknowledgement={"2026-11-30": {"k": 1.5}, NEWS: {BEHIND: 3}})
    queue = OutcomeQueue(cast(TritonClient, receiver), 100, lambda _: None, lambda _, spend: heard.append(spend))
    queue.outcome(outcome("1"))
    queue.start()
    await emptied(queue)
    assert heard == [{"2026-11-30": {"k": 1.5}}]
    assert queue.behind == 3
    await queue.aclose()


@pytest.mark.parametrize("error", [ConnectionError("gone"), RuntimeError("the loop is closed"), KeyError("x")])
async def test_an_error_while_it_stops_does_not_keep_the_gateway_from_stopping(error: Exception) -> None:
    def on_durable(*_: Any) -> None:
        raise error

    queue = OutcomeQueue(cast(TritonClient, Receiver()), 100, lambda _: None, on_durable)
    queue.outcome(outcome("1"))
    await queue.aclose()


async def test_outcomes_that_nobody_waits_for_wait_for_room() -> None:
    away = [HostError("unavailable")] * 3
    receiver, lost = Receiver(*away), list[int]()
    queue = OutcomeQueue(cast(TritonClient, receiver), 4, lost.append, lambda *_: None)
    queue.start()
    async with asyncio.timeout(60):
        for number in range(40):
            await queue.room()
            queue.outcome(outcome(str(number)))
    await emptied(queue)
    assert receiver.outcomes.keys() == set(map(str, range(40)))
    assert not lost
    await queue.aclose()
