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
    def cache_write(self) -> float | None:
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
    """USD that an answer would have cost more without a prompt cache: less than nothing where one took more than it gave."""
    cached, written = _of_prompt(usage)
    read = 0.0 if price.cached_input is None else cached * (price.input - price.cached_input)
    return PER_TOKEN * (read - (0.0 if price.cache_write is None else written * (price.cache_write - price.input)))


def answer_cost(price: TokenPrices, usage: Usage) -> float:
    """USD of an answer. Tokens that a cache held or took, and reasoning tokens, count at their own prices, where there are any."""
    cached, written = _of_prompt(usage)
    reasoning = min(max(usage.reasoning, 0), usage.completion)
    cached_price = price.input if price.cached_input is None else price.cached_input
    write_price = price.input if price.cache_write is None else price.cache_write
    reasoning_price = price.output if price.reasoning is None else price.reasoning
    return PER_TOKEN * (
        (usage.prompt - cached - written) * price.input
        + cached * cached_price
        + written * write_price
        + (usage.completion - reasoning) * price.output
        + reasoning * reasoning_price
    )


def _of_prompt(usage: Usage) -> tuple[int, int]:
    """Tokens of the prompt that a cache held, and that it took."""
    cached = min(max(usage.cached, 0), usage.prompt)
    return cached, min(max(usage.cache_write, 0), usage.prompt - cached)
