"""Builds the policy that a configuration asks for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from router_backend.bandits.policies.context_free import UCB1, EpsilonGreedy, Thompson
from router_backend.bandits.policies.linear import Binary, LinTS, LinUCB
from router_backend.bandits.policies.rule_based import Cascade, Complexity, Fixed, Random, TaskTable
from router_backend.bandits.policy import Policy, Setup
from router_backend.bandits.statistics.benchmarks import published
from router_backend.bandits.statistics.prior import Prior
from router_backend.config.models import ModelConfig
from router_backend.config.policy import LearningPolicyConfig, PolicyConfig, PolicyName
from router_backend.contract import TASKS

_log = logging.getLogger(__name__)

POLICIES: dict[PolicyName, type[Policy]] = {
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
    space: int = 0,
    tasks: Sequence[str] = TASKS,
) -> Policy:
    """A policy without observations.

    Args:
        prior: in place of the file that `config.prior` names, of which only quality is taken: a benchmark's answers were
            other models' at other prices. Without either, what `benchmarks` of the models say.
        default: the model taken when the task is unsure; the cheapest if left out.
        space: embedding space of the contexts to come; a prior of another space is left out, with a warning. 0: any.
        tasks: of the classifier that makes the contexts.

    Raises:
        PriorError: `config.prior` can't be used.
    """
    file = config.prior if isinstance(config, LearningPolicyConfig) else None
    if prior is None and file is not None:
        prior = replace(Prior.load(Path(file)), with_costs=False)
    if prior is not None and 0 not in (space, prior.space) and space != prior.space:
        _log.warning(
            "the prior of policy %s was fitted in embedding space %d, the classifier's is %d: starting without it;"
            " run `llm-router bootstrap` with this classifier",
            config.name,
            prior.space,
            space,
        )
        prior = None
    if prior is None:
        prior = published(models, space, tasks)
    setup = Setup(config, models, 0, prior, tasks)
    names = [model.name for model in models]
    chosen = setup.by_price()[0] if default is None else names.index(default)
    return POLICIES[config.name](Setup(config, models, chosen, prior, tasks))
