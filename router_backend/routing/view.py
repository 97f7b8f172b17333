"""What a decision reads: one configuration and all that has been learned under it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from router_backend.bandits.costs import CostModel
from router_backend.bandits.policy import Policy
from router_backend.config import RouterConfig
from router_backend.core.signals import Agreement


@dataclass(frozen=True, slots=True)
class View:
    """What the hot path reads: immutable, swapped as a whole, so that policies and configuration belong together."""

    config: RouterConfig
    space: int
    sequence: int  # of the last event in it
    policies: Mapping[str, Policy]  # names as in `RouterConfig.named_policies`
    costs: CostModel  # its length estimates go on running
    agreements: Mapping[str, Agreement]  # with people's scores, by source

    @property
    def main(self) -> Policy:
        """The policy under `policy:`."""
        return self.policies[""]
