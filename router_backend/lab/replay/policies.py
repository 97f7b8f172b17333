"""The configuration of each policy in a replay. What a policy needs to be told is fitted on rows known beforehand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.factory import build_policy
from router_backend.bandits.policies.linear import win_probability
from router_backend.bandits.policy import Policy
from router_backend.bandits.statistics.prior import Prior
from router_backend.config.models import LocalUpstream, ModelConfig, Price
from router_backend.config.policy import POLICY_SECTIONS, PolicyName, policy_config
from router_backend.lab.replay.baselines import GroupTable, rewards
from router_backend.lab.replay.bootstrap import FOLDS, best_ridge
from router_backend.lab.replay.datasets import RoutingData
from router_backend.lab.replay.encode import Contexts

# Policies that read the embedding: only for these does the number of components mean anything.
CONTEXTUAL: tuple[PolicyName, ...] = ("linucb", "lints", "binary")
REPLAYED: tuple[PolicyName, ...] = (
    "linucb",
    "lints",
    "ucb1",
    "thompson",
    "epsilon_greedy",
    "task",
    "complexity",
    "binary",
    "fixed",
    "random",
)
_FITTED: tuple[PolicyName, ...] = ("fixed", "binary", "task", "complexity")
_PER_MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Tuning:
    """Parameters that all policies of a replay share."""

    alpha: float = 0.1
    epsilon: float = 0.0  # nothing is logged for others to learn from, so no exploration floor
    ridge: float | None = None  # None: the prior's own, or without one cross-validated on the bootstrap rows
    prior_weight: float | None = None  # None: what suits the bootstrap rows


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to make one policy."""

    name: PolicyName
    lambda_: float
    components: int
    prior: Prior | None = None
    prior_weight: float = 0.0
    discount_per_day: float = 1.0
    guarded: bool = False
    budget: float | None = None  # USD per 1,000 requests
    by_day: float | None = None  # USD a day; without either λ is fixed


def arms(data: RoutingData) -> list[ModelConfig]:
    """The models as arms. Prices only order them: the mean cost of a query, as if all of it were the price of a token."""
    mean = data.cost.mean(0)
    return [
        ModelConfig(
            name=name,
            upstream=LocalUpstream(kind="local"),
            price=Price(input=float(cost) * _PER_MILLION, output=float(cost) * _PER_MILLION),
            context_window=1_000_000,
        )
        for name, cost in zip(data.models, mean, strict=True)
    ]


def make(
    recipe: Recipe,
    tuning: Tuning,
    known: RoutingData,
    seen: Contexts,
    scale: float,
    priced: RoutingData | None = None,
) -> Policy:
    """A policy without observations; tables and thresholds come from `known`, whose contexts are `seen`.

    Prices are public, so those of `priced` (default: `known`) are known without any answers.
    """
    priced = known if priced is None else priced
    models = arms(priced)
    fields: dict[str, object] = {
        "name": recipe.name,
        "alpha": tuning.alpha,
        "epsilon": tuning.epsilon,
        "components": recipe.components,
        "ridge": tuning.ridge or _ridge(recipe, known, seen),
        "prior_weight": recipe.prior_weight,
        "discount_per_day": recipe.discount_per_day,
        "reward": {"lambda": recipe.lambda_, "cost_scale_usd": scale},
        **_fitted(recipe, known, seen, scale),
    }
    if recipe.budget is not None or recipe.by_day is not None:
        fields["reward"] = {
            "name": "budget",
            "usd_per_1000": recipe.budget,
            "usd_per_day": recipe.by_day,
            "lambda": recipe.lambda_,
            "cost_scale_usd": scale,
        }
    if recipe.guarded:
        # Not routing is always the model that did best so far; before anything is known, the most expensive one.
        best = known.quality.mean(0).argmax() if len(known) else priced.cost.mean(0).argmax()
        fields["guard"] = {"reference": priced.models[int(best)]}
    known_to_it = POLICY_SECTIONS[recipe.name].model_fields
    settings = {name: value for name, value in fields.items() if name in known_to_it}
    return build_policy(policy_config(settings, seen.tasks), models, recipe.prior, tasks=seen.tasks)


def _ridge(recipe: Recipe, known: RoutingData, seen: Contexts) -> float:
    if recipe.prior is not None:
        return recipe.prior.ridge
    return best_ridge(seen.context, known.quality) if len(known) >= FOLDS else 1.0


def _fitted(recipe: Recipe, known: RoutingData, seen: Contexts, scale: float) -> dict[str, object]:
    if not len(known) and recipe.name in _FITTED:
        raise ValueError(f"the policy {recipe.name} is fitted on bootstrap rows; give it some with --bootstrap")
    if not len(known):
        return {}
    reward = rewards(known.quality, known.cost, recipe.lambda_, scale)
    cheap, best = int(known.cost.mean(0).argmin()), int(known.quality.mean(0).argmax())
    names = known.models
    if recipe.name == "fixed":
        return {"model": names[int(reward.mean(0).argmax())]}
    if recipe.name == "binary":
        # A gap of qualities that pays for the strong model's mean cost, as a probability of winning.
        mean = known.quality.mean(0)[[cheap, best]]
        price = recipe.lambda_ * float(known.cost[:, best].mean() - known.cost[:, cheap].mean()) / scale
        return {"weak": names[cheap], "strong": names[best], "threshold": win_probability(mean[0] + price, mean[0])}
    if recipe.name == "task":
        predicted = np.array([seen.tasks[i] for i in seen.task_probabilities.argmax(1)], object)
        table = GroupTable(replace(known, groups=predicted))
        chosen = table.choose(np.array(seen.tasks, object), recipe.lambda_, scale)
        return {"table": {task: names[arm] for task, arm in zip(seen.tasks, chosen, strict=True)}}
    if recipe.name == "complexity":
        return {"thresholds": {names[cheap]: 0.0, names[best]: _threshold(seen, reward[:, cheap], reward[:, best])}}
    return {}


def _threshold(seen: Contexts, below: NDArray[np.float64], above: NDArray[np.float64]) -> float:
    """The complexity over which the second model's mean reward is better than the first's, for the best total."""
    order = np.argsort(seen.complexity, kind="stable")
    gain = np.concatenate([[0.0], np.cumsum((below - above)[order])])
    cut = int(gain.argmax())
    return float(seen.complexity[order[cut]]) if cut < len(order) else 1.0
