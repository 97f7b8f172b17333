"""Whether a decision goes on after its first answer, as a cascade."""

from __future__ import annotations

from router_backend.config import RouterConfig
from router_backend.config.policy import CascadeConfig, CascadePolicyConfig


def cascade_of(config: RouterConfig, policy: str, reason: str) -> CascadeConfig | None:
    """The cascade that a decision of this policy and reason starts.

    None if another policy decided, or if exploration chose where to start: that answer is taken as it is.
    """
    if reason != "policy:cascade":
        return None
    decided = config.named_policies().get(policy, config.policy)
    return decided.cascade if isinstance(decided, CascadePolicyConfig) else None
