"""The breaker opens on failures, recovers by time and probes, and never by stale results."""

from __future__ import annotations

import pytest

from router_backend.config.limits import Breaker
from router_backend.core.errors import Verdict
from router_backend.forwarding.guards.breaker import Caller, CircuitBreaker

WELL, FAILED, NOTHING = Verdict.WELL, Verdict.FAILED, Verdict.NOTHING
NOBODY = Caller()


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


def settle(breaker: CircuitBreaker, *results: Verdict, by: Caller = NOBODY) -> None:
    for result in results:
        permit = breaker.enter(by)
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


HOSTILE, OTHER = Caller("hostile", 1), Caller("other", 1)


@pytest.mark.parametrize(
    "answered",
    [pytest.param(OTHER, id="another client"), pytest.param(Caller("hostile", 2), id="another kind of its requests")],
)
def test_failures_of_one_callers_requests_open_nothing_that_answers_others(
    breaker: CircuitBreaker, clock: Clock, answered: Caller
) -> None:
    settle(breaker, WELL, by=answered)
    settle(breaker, *[FAILED] * 20, by=HOSTILE)
    assert breaker.state == "closed"
    clock.now += 10  # nobody else has been answered since
    settle(breaker, FAILED, by=HOSTILE)
    assert breaker.state == "open"


def test_one_client_with_many_kinds_of_requests_opens_nothing_that_answers_others(breaker: CircuitBreaker) -> None:
    settle(breaker, WELL, by=OTHER)
    for kind in range(20):
        settle(breaker, FAILED, by=Caller("hostile", kind))
    assert breaker.state == "closed"


def test_failures_of_two_clients_are_the_upstreams(breaker: CircuitBreaker) -> None:
    settle(breaker, WELL, by=OTHER)
    settle(breaker, FAILED, FAILED, by=HOSTILE)
    settle(breaker, FAILED, by=OTHER)
    assert breaker.state == "open"


def test_an_upstream_with_one_client_only_opens(breaker: CircuitBreaker) -> None:
    settle(breaker, WELL, FAILED, FAILED, FAILED, by=OTHER)
    assert breaker.state == "open"


def test_a_client_whose_probe_failed_leaves_the_next_one_to_others_for_a_moment(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    settle(breaker, FAILED, FAILED, FAILED, by=OTHER)
    clock.now += 10
    settle(breaker, FAILED, by=HOSTILE)
    clock.now += 10
    assert breaker.enter(HOSTILE) is None
    settle(breaker, WELL, by=OTHER)
    settle(breaker, FAILED, by=HOSTILE)  # somebody else has just been answered
    settle(breaker, WELL, by=OTHER)
    assert breaker.state == "closed"


def test_a_client_alone_is_kept_waiting_for_a_moment_only(breaker: CircuitBreaker, clock: Clock) -> None:
    settle(breaker, FAILED, FAILED, FAILED, by=OTHER)
    clock.now += 10
    settle(breaker, FAILED, by=OTHER)
    clock.now += 11
    settle(breaker, WELL, WELL, by=OTHER)
    assert breaker.state == "closed"
