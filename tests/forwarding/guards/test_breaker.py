"""The breaker opens on failures, recovers by time and probes, and never by stale results."""

from __future__ import annotations

import pytest

from router_backend.config.limits import Breaker
from router_backend.forwarding.guards.breaker import CircuitBreaker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def states() -> list[str]:
    return []


@pytest.fixture
def breaker(clock: Clock, states: list[str]) -> CircuitBreaker:
    return CircuitBreaker(Breaker(failures=3, open_seconds=10, probes=2), states.append, clock)


def settle(breaker: CircuitBreaker, *results: bool | None) -> None:
    for result in results:
        permit = breaker.enter()
        assert permit is not None
        permit.settle(result)


def test_opens_after_consecutive_failures_only(breaker: CircuitBreaker, states: list[str]) -> None:
    settle(breaker, False, False, True, False, None, False)
    assert breaker.state == "closed"
    settle(breaker, False)
    assert breaker.state == "open"
    assert breaker.enter() is None
    assert breaker.retry_after == 10
    assert states == ["open"]


def test_recovers_through_single_probes(breaker: CircuitBreaker, clock: Clock, states: list[str]) -> None:
    settle(breaker, False, False, False)
    clock.now += 10
    assert breaker.state == "half_open"
    probe = breaker.enter()
    assert probe is not None
    assert breaker.enter() is None  # one at a time
    probe.first_byte()  # a long answer doesn't hold the next probe up
    settle(breaker, True)
    assert breaker.state == "closed"
    assert states == ["open", "half_open", "closed"]


def test_failed_probe_opens_again_and_cancelled_probe_frees_the_way(breaker: CircuitBreaker, clock: Clock) -> None:
    settle(breaker, False, False, False)
    clock.now += 10
    settle(breaker, None, True, False)
    assert breaker.state == "open"
    clock.now += 10
    settle(breaker, True, True)
    assert breaker.state == "closed"


def test_results_from_before_the_opening_change_nothing(breaker: CircuitBreaker, clock: Clock) -> None:
    old = [breaker.enter() for _ in range(6)]
    for permit in old[:3]:
        assert permit is not None
        permit.settle(False)
    assert breaker.state == "open"
    for permit in old[3:]:
        assert permit is not None
        permit.settle(True)
        permit.settle(False)
    assert breaker.state == "open"
    clock.now += 10
    assert breaker.state == "half_open"
