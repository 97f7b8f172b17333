"""What all gateways together let through of a rate, whatever they do and whenever they speak with the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router_backend.gateway.keys.rates import AWAY_SECONDS, Rates, lease
from router_backend.state.rates import Levels, Use, decode_draw, decode_levels, encode, refilled

NAME = "requests key k"


class Clock:
    """Of the machine and of the store."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_790_000_000.0
        for name in ("time", "monotonic"):
            monkeypatch.setattr(time, name, lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Buckets:
    """As a store keeps them; tests/state has the real ones."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}
        self._gateways: set[str] = set()

    def draw(self, gateway: str, uses: Sequence[Use]) -> Levels:
        self._gateways.add(gateway)
        for use in uses:
            left, at = self._left.get(use.name, (float(use.per_minute), time.time()))
            left = refilled(left, time.time() - at, use.per_minute) - use.used
            self._left[use.name] = (left, time.time())
        return Levels(len(self._gateways), {use.name: self._left[use.name][0] for use in uses})


class Deployment:
    """Gateways in front of one store."""

    def __init__(self, gateways: int, per_minute: int) -> None:
        self.store, self.per_minute, self.granted = Buckets(), per_minute, 0
        self.gateways = [Rates() for _ in range(gateways)]
        for index in range(gateways):
            self.settle(index)
        for index in range(gateways):  # by now each knows how many there are
            self.settle(index)

    def take(self, index: int) -> bool:
        granted = not self.gateways[index].take(NAME, self.per_minute)
        self.granted += granted
        return granted

    def settle(self, index: int, answers: bool = True) -> None:
        rates = self.gateways[index]
        uses = rates.begin({NAME: self.per_minute})
        if answers:
            rates.settled(uses, self.store.draw(str(index), uses))
        else:
            rates.failed(uses)


@pytest.fixture
def deploy(clock: Clock) -> Callable[..., Deployment]:
    return Deployment


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(0, 3), st.integers(1, 40)),
        st.tuples(st.just("settle"), st.integers(0, 3), st.just(1)),
        st.tuples(st.just("fail"), st.integers(0, 3), st.just(1)),
        st.tuples(st.just("wait"), st.just(0), st.integers(0, 40)),
    ),
    max_size=60,
)


@given(gateways=st.integers(1, 4), per_minute=st.integers(1, 200), steps=STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_together_they_exceed_a_rate_by_a_lease_each_at_most(
    deploy: Callable[..., Deployment],
    clock: Clock,
    gateways: int,
    per_minute: int,
    steps: list[tuple[str, int, int]],
) -> None:
    deployment, began = deploy(gateways, per_minute), clock.now
    for what, index, times in steps:
        index %= gateways
        if what == "take":
            for _ in range(times):
                deployment.take(index)
        elif what == "wait":
            clock.now += min(times / 10, AWAY_SECONDS / 2)
            for each in range(gateways):
                deployment.settle(each)
        else:
            deployment.settle(index, answers=what == "settle")
        allowed = per_minute * (1 + (clock.now - began) / 60)
        over = 0 if gateways == 1 else gateways * (lease(per_minute, gateways) + 1)
        assert deployment.granted <= allowed + over


def test_what_was_taken_too_much_is_missing_in_the_next_minute(deploy: Callable[..., Deployment], clock: Clock) -> None:
    deployment, began = deploy(4, 60), clock.now
    while clock.now < began + 600:
        for index in range(4):
            while deployment.take(index):
                pass
            deployment.settle(index)
        clock.now += 0.1
    over = deployment.granted - 60 * 11
    assert -4 <= over <= 4 * lease(60, 4)


def test_an_idle_gateway_leaves_its_part_to_the_others(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(4, 100)
    for _ in range(1000):
        deployment.take(0)
        deployment.settle(0)
    assert deployment.granted == 100


@pytest.mark.parametrize("per_minute", [1, 2, 5, 1000])
def test_a_first_burst_is_not_refused_while_there_is_enough(deploy: Callable[..., Deployment], per_minute: int) -> None:
    deployment = deploy(2, per_minute)
    burst = min(5, per_minute)
    assert all(deployment.take(0) for _ in range(burst))


def test_without_the_store_each_has_its_fair_share(deploy: Callable[..., Deployment], clock: Clock) -> None:
    deployment = deploy(4, 120)
    assert not deployment.gateways[0].away
    clock.now += AWAY_SECONDS + 1
    assert deployment.gateways[0].away
    granted = [sum(deployment.take(index) for _ in range(500)) for index in range(4)]
    assert granted == [30] * 4
    began = clock.now
    while clock.now < began + 60:
        clock.now += 0.5
        for index in range(4):
            deployment.take(index)
            deployment.settle(index, answers=False)
    assert 230 <= deployment.granted <= 240
    for index in range(4):  # it is back, and hears what is missing now, not all of what was taken meanwhile
        deployment.settle(index)
    assert deployment.store.draw("0", [Use(NAME, 120, 0.0)]).left[NAME] > -10
    clock.now += 60
    deployment.granted = 0
    for _ in range(500):
        deployment.take(0)
        deployment.settle(0)
    assert deployment.granted == pytest.approx(120, abs=2)


def test_answers_that_were_not_paid_for_yet_hold_up_the_next_requests(
    deploy: Callable[..., Deployment], clock: Clock
) -> None:
    deployment = deploy(2, 600)
    first, second = deployment.gateways
    first.count(NAME, 600, 1200.0)
    assert first.wait(NAME, 600) == pytest.approx((1 + 600) / 10)
    deployment.settle(0)
    assert second.wait(NAME, 600) == 0  # it hasn't heard of it
    second.count(NAME, 600, 1.0)
    deployment.settle(1)
    assert second.wait(NAME, 600) == pytest.approx((1 + 601) / 10)
    clock.now += 61
    assert second.wait(NAME, 600) == 0


def test_messages_are_checked() -> None:
    assert decode_levels(encode(Levels(2, {"a": -1.5}))) == Levels(2, {"a": -1.5})
    for bad in (
        "[]",
        '{"gateway": "", "uses": []}',
        '{"gateway": "g", "uses": [{"name": "a", "per_minute": 0, "used": 1}]}',
    ):
        with pytest.raises(ValueError, match="rates"):
            decode_draw(bad)


@given(left=st.floats(-1e6, 1e6), seconds=st.floats(-100, 1e6), per_minute=st.integers(1, 10**9))
def test_a_bucket_never_holds_more_than_a_minute(left: float, seconds: float, per_minute: int) -> None:
    assert refilled(left, seconds, per_minute) <= per_minute
    assert refilled(left, seconds, per_minute) >= min(left, per_minute)
