"""The outcome of an answer, from what forwarding knows of it. The gateway and Triton's models record the same."""

from __future__ import annotations

import time
from collections.abc import Sequence

from router_backend.config import RouterConfig
from router_backend.core.pricing import answer_cost
from router_backend.core.records import Outcome
from router_backend.forwarding.progress import Expense, Progress


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
    paid = (Expense(progress.arm, usage), *progress.discarded) if known else progress.discarded
    return Outcome(
        decision_id=decision_id,
        completed=time.time(),
        served=progress.arm,
        status=status,
        finish_reason=progress.finish_reason,
        usage=usage,
        usage_known=progress.usage_known,
        cost=_cost(paid, config),
        latency=time.monotonic() - started,
        first_token=progress.first_token,
        upstream=progress.latency,
        streamed=progress.first_token is not None,
        key=key,
        fault=progress.error.fault.name.lower() if progress.error else "",
    )


def _cost(paid: Sequence[Expense], config: RouterConfig) -> float | None:
    """USD; None where nothing is known to have been paid, or an arm has left the configuration in the meantime."""
    prices = {model.name: model.price for model in config.models}
    if not paid or any(arm not in prices for arm, _ in paid):
        return None
    return sum(answer_cost(prices[arm], usage) for arm, usage in paid)
