"""The breaker opens on failures, recovers by time and probes, and never by stale results."""

from __future__ import annotations

import pytest

from router_backend.config.limits import Breaker
from router_backend.core.errors import Verdict
from router_backend.forwarding.guards.breaker import CircuitBreaker

WELL, FAILED, NOTHING = Verdict.WELL, Verdict.FAILED, Verdict.NOTHING


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


def settle(breaker: CircuitBreaker, *results: Verdict) -> None:
    for result in results:
        permit = breaker.enter()
        assert permit is not None
        permit.settle(result)


def test_opens_after_consecutive_failures_only(breaker: CircuitBreaker, states: list[str]) -> None:
    settle(breaker, FAILED, FAILED, WELL, FAILED, NOTHING, FAILED)
    assert breaker.state == "closed"
    settle(breaker, FAILED)
    assert breaker.state == "open"
    assert breaker.enter() is None
    assert breaker.retry_after == 10
    assert states == ["open"]


def test_recovers_through_single_probes(breaker: CircuitBreaker, clock: Clock, states: list[str]) -> None:
    settle(breaker, FAILED, FAILED, FAILED)
    clock.now += 10
    assert breaker.state == "half_open"
    probe = breaker.enter()
    assert probe is not None
    assert breaker.enter() is None  # one at a time
    probe.first_byte()  # a long answer doesn't hold the next probe up
    settle(breaker, WELL)
    assert breaker.state == "closed"
    assert states == ["open", "half_open", "closed"]


def test_failed_probe_opens_again_and_cancelled_probe_frees_the_way(breaker: CircuitBreaker, clock: Clock) -> None:
    settle(breaker, FAILED, FAILED, FAILED)
    clock.now += 10
    settle(breaker, NOTHING, WELL, FAILED)
    assert breaker.state == "open"
    clock.now += 10
    settle(breaker, WELL, WELL)
    assert breaker.state == "closed"


def test_results_from_before_the_opening_change_nothing(breaker: CircuitBreaker, clock: Clock) -> None:
    old = [breaker.enter() for _ in range(6)]
    for permit in old[:3]:
        assert permit is not None
        permit.settle(FAILED)
    assert breaker.state == "open"
    for permit in old[3:]:
        assert permit is not None
        permit.settle(WELL)
        permit.settle(FAILED)
    assert breaker.state == "open"
    clock.now += 10
    assert breaker.state == "half_open"
