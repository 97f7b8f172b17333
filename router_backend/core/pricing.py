"""What an answer costs, from its usage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from router_backend.core.records import Usage

PER_TOKEN = 1e-6
"""Prices are USD per million tokens."""


class TokenPrices(Protocol):
    """USD per million tokens; `models[].price` in `router.yaml` is one."""

    @property
    def input(self) -> float: ...

    @property
    def output(self) -> float: ...

    @property
    def cached_input(self) -> float | None:
        """None: as `input`."""
        ...

    @property
    def reasoning(self) -> float | None:
        """None: as `output`."""
        ...


def savings(prices: Iterable[TokenPrices], usage: Usage, cost: float) -> float:
    """USD that the same tokens would have cost more at the most expensive of `prices`; a cascade may cost more than that."""
    return max(answer_cost(price, usage) for price in prices) - cost


def cache_savings(price: TokenPrices, usage: Usage) -> float:
    """USD that an answer would have cost more without what a prompt cache held."""
    cached = min(max(usage.cached, 0), usage.prompt)
    return 0.0 if price.cached_input is None else PER_TOKEN * cached * (price.input - price.cached_input)


def answer_cost(price: TokenPrices, usage: Usage) -> float:
    """USD of an answer. Cached prompt tokens and reasoning tokens count at their own prices, where there are any."""
    cached = min(max(usage.cached, 0), usage.prompt)
    reasoning = min(max(usage.reasoning, 0), usage.completion)
    cached_price = price.input if price.cached_input is None else price.cached_input
    reasoning_price = price.output if price.reasoning is None else price.reasoning
    return PER_TOKEN * (
        (usage.prompt - cached) * price.input
        + cached * cached_price
        + (usage.completion - reasoning) * price.output
        + reasoning * reasoning_price
    )
