"""Usage to USD."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_backend.config.models import Price
from router_backend.core.pricing import answer_cost, cache_savings
from router_backend.core.records import Usage

tokens = st.integers(0, 1_000_000)


def test_cached_and_reasoning_tokens_have_their_own_prices() -> None:
    price = Price(input=2.0, output=10.0, cached_input=0.5, reasoning=4.0)
    usage = Usage(prompt=1000, cached=400, completion=300, reasoning=100)
    assert answer_cost(price, usage) == pytest.approx((600 * 2 + 400 * 0.5 + 200 * 10 + 100 * 4) / 1e6)


def test_without_prices_of_their_own_they_cost_what_the_others_cost() -> None:
    usage = Usage(prompt=1000, cached=400, completion=300, reasoning=100)
    assert answer_cost(Price(input=2.0, output=10.0), usage) == pytest.approx((1000 * 2 + 300 * 10) / 1e6)
    # A price of zero is a price.
    assert answer_cost(Price(input=2.0, output=10.0, cached_input=0), usage) == pytest.approx((600 * 2 + 3000) / 1e6)


def test_what_a_cache_takes_has_its_own_price_and_counts_against_what_it_saves() -> None:
    price = Price(input=2.0, output=10.0, cached_input=0.2, cache_write=2.5)
    usage = Usage(prompt=1000, cached=400, cache_write=500, completion=300)
    assert answer_cost(price, usage) == pytest.approx((100 * 2 + 400 * 0.2 + 500 * 2.5 + 300 * 10) / 1e6)
    assert cache_savings(price, usage) == pytest.approx((400 * 1.8 - 500 * 0.5) / 1e6)
    assert answer_cost(Price(input=2.0, output=10.0), usage) == pytest.approx((1000 * 2 + 300 * 10) / 1e6)


@given(
    prompt=tokens,
    cached=st.integers(-5, 2_000_000),
    written=st.integers(-5, 2_000_000),
    completion=tokens,
    reasoning=st.integers(-5, 2_000_000),
)
def test_odd_usage_never_makes_a_cost_negative(
    prompt: int, cached: int, written: int, completion: int, reasoning: int
) -> None:
    usage = Usage(prompt=prompt, cached=cached, cache_write=written, completion=completion, reasoning=reasoning)
    price = Price(input=2.0, output=10.0, cached_input=0.5, cache_write=2.5, reasoning=4.0)
    assert 0 <= answer_cost(price, usage) <= (2.5 * prompt + 10 * completion) / 1e6 + 1e-12
