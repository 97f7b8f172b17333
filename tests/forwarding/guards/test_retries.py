"""Retries stay inside their budget and spread over time."""

from __future__ import annotations

import random

import pytest

from router_backend.config.limits import Retries
from router_backend.forwarding.guards.retries import RetryBudget, backoff


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_retries_are_a_share_of_the_last_ten_seconds() -> None:
    clock = Clock()
    budget = RetryBudget(0.2, 0, clock)
    for second in range(10):
        clock.now = second
        for _ in range(10):
            budget.request()
    assert sum(budget.spend() for _ in range(100)) == 20
    clock.now = 19.5  # all requests are too old
    assert not budget.spend()
    for _ in range(5):
        budget.request()
    assert [budget.spend(), budget.spend()] == [True, False]


def test_a_quiet_router_may_retry_and_a_budget_of_zero_may_not() -> None:
    quiet, none = RetryBudget(0.2, 3, Clock()), RetryBudget(0.0, 3, Clock())
    quiet.request()
    none.request()
    assert [quiet.spend() for _ in range(4)] == [True, True, True, False]
    assert not none.spend()


def test_backoff_is_full_jitter_under_a_doubled_cap() -> None:
    config, rng = Retries(backoff=0.1, max_backoff=0.3), random.Random(1)
    for retry, cap in enumerate((0.1, 0.2, 0.3, 0.3)):
        waits = [backoff(config, retry, None, rng) or 0.0 for _ in range(500)]
        assert 0 <= min(waits) < 0.1 * cap
        assert 0.9 * cap < max(waits) <= cap


def test_the_upstreams_retry_after_is_kept_or_the_retry_is_given_up() -> None:
    config, rng = Retries(backoff=0.1, max_backoff=2), random.Random(1)
    assert backoff(config, 0, 1.5, rng) == pytest.approx(1.5)
    assert backoff(config, 0, 30.0, rng) is None
