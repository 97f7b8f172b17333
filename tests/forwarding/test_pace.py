"""How fast an arm is expected to be, from its calls. Time is the test's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_backend.forwarding.pace import Pace


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def call(pace: Pace, clock: Clock, first: float, tokens: int = 0, each: float = 0.0) -> None:
    pace.request()
    timing = pace.begin()
    clock.now += first
    timing.first()
    clock.now += max(0, tokens - 1) * each
    timing.end(tokens)


def expected(pace: Pace) -> tuple[float, float]:
    found = pace.expected
    assert found is not None
    return found


def test_nothing_is_expected_of_an_arm_that_was_never_called(clock: Clock) -> None:
    assert Pace(clock).expected is None


def test_both_times_are_learned(clock: Clock) -> None:
    pace = Pace(clock)
    for _ in range(50):
        call(pace, clock, 0.4, tokens=11, each=0.02)
    first, token = expected(pace)
    assert 0.25 < first <= 0.4
    assert 0.0125 < token <= 0.02


def test_a_slow_arm_is_known_after_a_few_calls(clock: Clock) -> None:
    pace = Pace(clock)
    for _ in range(50):
        call(pace, clock, 0.4)
    for _ in range(5):
        call(pace, clock, 2.0)
    assert expected(pace)[0] > 1.0


def test_an_arm_that_is_not_called_is_expected_to_be_faster_and_one_call_tells(clock: Clock) -> None:
    pace = Pace(clock)
    for _ in range(20):
        call(pace, clock, 2.0)
    for _ in range(70):
        pace.request()
    assert expected(pace)[0] < 0.4
    call(pace, clock, 2.0)
    assert expected(pace)[0] > 0.9
    for _ in range(70):
        pace.request()
    call(pace, clock, 0.4)
    assert expected(pace)[0] < 0.5


def test_calls_that_wait_are_as_late_as_half_of_them_are(clock: Clock) -> None:
    pace = Pace(clock)
    call(pace, clock, 0.1)
    calls = [pace.begin() for _ in range(3)]
    clock.now += 7.0
    assert expected(pace)[0] == 7.0
    for _ in range(100):  # it isn't forgotten while it is seen
        pace.request()
    assert expected(pace)[0] == 7.0
    for timing in calls:
        timing.drop(late=False)
    assert expected(pace)[0] < 0.2


def test_one_long_prompt_among_many_calls_is_no_queue(clock: Clock) -> None:
    pace = Pace(clock)
    call(pace, clock, 0.1)
    pace.begin()
    clock.now += 7.0
    for _ in range(2):
        pace.begin()
    assert expected(pace)[0] < 0.2


def test_a_call_that_ran_out_of_time_was_late(clock: Clock) -> None:
    pace = Pace(clock)
    timing = pace.begin()
    clock.now += 30.0
    timing.drop(late=True)
    assert expected(pace)[0] > 15.0


@given(st.lists(st.tuples(st.floats(0, 600), st.integers(0, 5), st.integers(0, 200)), max_size=40))
def test_what_is_expected_lies_within_what_was_seen(calls: list[tuple[float, int, int]]) -> None:
    clock = Clock()
    pace = Pace(clock)
    for seconds, tokens, others in calls:
        call(pace, clock, seconds, tokens, 0.01)
        for _ in range(others):
            pace.request()
    if calls:
        seen = [max(seconds, 1e-4) for seconds, _, _ in calls]
        assert min(seen) / 10.001 <= expected(pace)[0] <= max(seen) * 1.001
