"""What the gateway has measured of its arms' speed, as a term of the score and as a limit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.query import Query
from router_backend.bandits.rules import within
from router_backend.config import RouterConfig
from router_backend.prompts.hints import RoutingHints
from router_backend.routing.view import View


def time_cost(view: View, hints: RoutingHints, task: str) -> NDArray[np.float64] | None:
    """USD [arms] that the time until the whole answer is worth; None where time has no price or nothing was measured."""
    price = view.config.latency.usd_per_second
    if not price or (paces := _paces(view.config, hints)) is None:
        return None
    tokens = view.costs.answer_tokens(task, hints.max_tokens)
    return price * (paces[:, 0] + tokens * paces[:, 1])


def in_time(config: RouterConfig, query: Query, hints: RoutingHints) -> Query:
    """Without arms whose first token is expected too late; the fastest one stays."""
    limit = config.latency.slo_ttft_ms
    if limit is None or len(query.candidates) == 1 or (paces := _paces(config, hints)) is None:
        return query
    first = paces[list(query.candidates), 0].tolist()
    return query.among(within(query.candidates, first, [limit / 1000] * len(first)))


def _paces(config: RouterConfig, hints: RoutingHints) -> NDArray[np.float64] | None:
    """Seconds to the first token and of each further one, [arms, 2]. An arm that wasn't measured yet takes none, so that it is."""
    if not any(name in hints.paces for name in config.names):
        return None
    return np.array([hints.paces.get(name, (0.0, 0.0)) for name in config.names], np.float64)
