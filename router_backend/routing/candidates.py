"""Which arms may answer a request: allowed, capable, large enough, within its cost ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_backend.config import RouterConfig
from router_backend.config.models import ModelConfig
from router_backend.prompts.hints import RoutingHints


class NoCandidate(ValueError):
    """No arm may answer; the message says what excluded them."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Arm indices (in the configuration's order), and what narrowed them, if anything had to give way."""

    arms: NDArray[np.intp]
    reason: str = ""


def candidates(config: RouterConfig, hints: RoutingHints, expected_cost: NDArray[np.float64]) -> Candidates:
    """Candidates of one request; `expected_cost` FP64 [arms] in USD.

    Raises:
        NoCandidate: none is both allowed and capable.
    """
    allowed = [i for i, model in enumerate(config.models) if hints.candidates is None or model.name in hints.candidates]
    if not allowed:
        raise NoCandidate(f"none of the allowed models {hints.candidates} is configured ({', '.join(config.names)})")
    capable = [i for i in allowed if _fits(config.models[i], hints)]
    if not capable:
        needs = ", ".join(hints.needs) or f"{hints.prompt_tokens} prompt tokens"
        raise NoCandidate(f"no allowed model can take this request (needs {needs}); allow another model or shorten it")
    within = [i for i in capable if expected_cost[i] <= _ceiling(config.models[i], hints)]
    if within:
        return Candidates(np.array(within, np.intp))
    # A ceiling that nothing meets is a wish, not a refusal: the cheapest that can answer is taken.
    return Candidates(np.array([min(capable, key=lambda i: expected_cost[i])], np.intp), "max_cost")


def _fits(model: ModelConfig, hints: RoutingHints) -> bool:
    room = hints.prompt_tokens + (hints.max_tokens or 1) <= model.context_window
    return room and model.capabilities.issuperset(hints.needs)


def _ceiling(model: ModelConfig, hints: RoutingHints) -> float:
    limits: Sequence[float | None] = (model.max_cost_usd, hints.max_cost)
    return min((limit for limit in limits if limit is not None), default=float("inf"))
