"""The outcome of an answer, from what forwarding knows of it. The gateway and Triton's models record the same."""

from __future__ import annotations

import time
from collections.abc import Sequence

from router_backend.config import RouterConfig
from router_backend.config.models import ModelConfig
from router_backend.core.pricing import answer_cost
from router_backend.core.records import Outcome, Usage
from router_backend.forwarding.progress import Expense, Progress

_TOLERANCE = 2.0  # of a cost: discounts and surcharges are real, other magnitudes are not


def outcome_of(
    decision_id: str, progress: Progress, status: int, config: RouterConfig, *, started: float, key: str = ""
) -> Outcome:
    """What became of a decision whose answer has just ended.

    `status`: HTTP status, 499 when the client left; `started`: time.monotonic() when the request came in; `key`: name of
    the API key that pays.
    """
    usage = progress.usage
    known = progress.usage_known or usage.prompt > 0 or usage.completion > 0
    # A cascade's other answers cost, too.
    arm = next((model for model in config.models if model.name == progress.arm), None)
    paid = (Expense(progress.arm, usage), *progress.discarded) if known else progress.discarded
    ordinary = _cost(paid, config)
    share = _price_share(arm) if progress.batched else 1.0
    return Outcome(
        decision_id=decision_id,
        completed=time.time(),
        served=progress.arm,
        status=status,
        finish_reason=progress.finish_reason,
        usage=usage,
        usage_known=progress.usage_known,
        cost=None if ordinary is None else share * ordinary,
        batch_discount=(1.0 - share) * (ordinary or 0.0),
        latency=time.monotonic() - started,
        first_token=progress.first_token,
        upstream=progress.latency,
        streamed=progress.first_token is not None,
        key=key,
        fault=progress.error.fault.name.lower() if progress.error else "",
        revision=(arm.revision if arm is not None else "") or progress.revision,
    )


def highest_cost(config: RouterConfig, outcome: Outcome | None) -> float:
    """USD that feedback may say an answer has cost: `gateway.feedback_cost_usd`, else twice what its tokens cost at the
    price of the model that answered.

    Where its tokens aren't known: of the largest context window, at the highest price. Where no model has a price: 1.
    """
    if config.gateway.feedback_cost_usd:
        return config.gateway.feedback_cost_usd
    prices = {model.name: model.price for model in config.models}
    window = max(model.context_window for model in config.models)
    if outcome is None or outcome.cost is None:
        usage = Usage(prompt=window, completion=window)
        return _TOLERANCE * max(answer_cost(price, usage) for price in prices.values()) or 1.0
    highest = max(answer_cost(price, outcome.usage) for price in prices.values())
    return _TOLERANCE * (outcome.cost or highest) or 1.0


def _price_share(arm: ModelConfig | None) -> float:
    return arm.batch.price_share if arm and arm.batch else 1.0


def _cost(paid: Sequence[Expense], config: RouterConfig) -> float | None:
    """USD at ordinary prices; None where nothing is known to have been paid, or an arm has left the configuration in the meantime."""
    prices = {model.name: model.price for model in config.models}
    if not paid or any(arm not in prices for arm, _ in paid):
        return None
    return sum(answer_cost(prices[arm], usage) for arm, usage in paid)
