"""What requests on own GPUs cost by how busy these are: the price of what is scarce (a shadow price), nothing while there is room."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.costs import Expected
from router_backend.prompts.hints import RoutingHints
from router_backend.routing.view import View

Floats = NDArray[np.float64]


def less_what_is_paid_anyway(
    time_cost: Floats | None, view: View, hints: RoutingHints, expected: Expected
) -> Floats | None:
    """USD [arms] beside the prices of tokens: the time's, less the part of own GPUs' prices that their idle places don't ask for."""
    if not hints.loads:
        return time_cost
    idle = np.array([1.0 - hints.loads.get(name, 1.0) for name in view.config.names])
    saved = idle * expected.total
    return -saved if time_cost is None else time_cost - saved
