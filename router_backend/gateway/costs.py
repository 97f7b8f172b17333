"""What an answer cost, and what it would have cost at the dearest model ("always best")."""

from __future__ import annotations

from collections.abc import Sequence

from router_backend.config.models import ModelConfig, Price
from router_backend.state.records import Usage


def answer_cost(price: Price, usage: Usage) -> float:
    """USD. Cached prompt tokens and reasoning tokens are parts of their totals with a price of their own."""
    cached = min(usage.cached, usage.prompt)
    reasoning = min(usage.reasoning, usage.completion)
    cached_price = price.input if price.cached_input is None else price.cached_input
    reasoning_price = price.output if price.reasoning is None else price.reasoning
    return (
        (usage.prompt - cached) * price.input
        + cached * cached_price
        + (usage.completion - reasoning) * price.output
        + reasoning * reasoning_price
    ) / 1e6


def dearest_cost(models: Sequence[ModelConfig], usage: Usage) -> float:
    """USD of the same tokens at the model where they cost most."""
    return max(answer_cost(model.price, usage) for model in models)
