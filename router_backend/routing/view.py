"""What a decision reads: one configuration and all that has been learned under it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from router_backend.bandits.costs import CostModel
from router_backend.bandits.query import Reader
from router_backend.config import RouterConfig


@dataclass(frozen=True, slots=True)
class View:
    """What the hot path reads: immutable, swapped as a whole, so that policies and configuration belong together."""

    config: RouterConfig
    space: int
    sequence: int  # of the last event in it
    policies: Mapping[str, Reader]  # names as in `RouterConfig.named_policies`
    costs: CostModel  # its length estimates go on running

    @property
    def main(self) -> Reader:
        """The policy under `policy:`."""
        return self.policies[""]
