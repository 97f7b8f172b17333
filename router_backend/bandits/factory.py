"""Builds the policy that a configuration asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from router_backend.bandits.base import BasePolicy, Setup
from router_backend.bandits.binary import Binary
from router_backend.bandits.epsilon_greedy import EpsilonGreedy
from router_backend.bandits.lints import LinTS
from router_backend.bandits.linucb import LinUCB
from router_backend.bandits.prior import Prior
from router_backend.bandits.rule_based import Cascade, Complexity, Fixed, Random, TaskTable
from router_backend.bandits.thompson import Thompson
from router_backend.bandits.ucb1 import UCB1
from router_backend.config.models import ModelConfig
from router_backend.config.policy import PolicyConfig, PolicyName

POLICIES: dict[PolicyName, type[BasePolicy]] = {
    "linucb": LinUCB,
    "lints": LinTS,
    "ucb1": UCB1,
    "thompson": Thompson,
    "epsilon_greedy": EpsilonGreedy,
    "task": TaskTable,
    "complexity": Complexity,
    "binary": Binary,
    "cascade": Cascade,
    "fixed": Fixed,
    "random": Random,
}


def build_policy(
    config: PolicyConfig,
    models: Sequence[ModelConfig],
    prior: Prior | None = None,
    default: str | None = None,
) -> BasePolicy:
    """A policy without observations.

    Args:
        prior: in place of the file that `config.prior` names.
        default: the model taken when the task is unsure; the cheapest if left out.

    Raises:
        PriorError: `config.prior` can't be used.
    """
    if prior is None and config.prior is not None:
        prior = Prior.load(Path(config.prior))
    setup = Setup(config, models, 0, prior)
    names = [model.name for model in models]
    chosen = setup.by_price()[0] if default is None else names.index(default)
    return POLICIES[config.name](Setup(config, models, chosen, prior))
