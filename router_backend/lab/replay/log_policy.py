"""A policy judged on a decision log: the first part of the log teaches it, the rest estimates what it would have earned."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.batch import Batch
from router_backend.bandits.charges import in_usd
from router_backend.bandits.factory import build_policy
from router_backend.bandits.policy import Policy
from router_backend.bandits.query import Query
from router_backend.bandits.selection import probabilities
from router_backend.bandits.statistics.fields import Fields
from router_backend.config.models import LocalUpstream, ModelConfig, Price
from router_backend.config.policy import PolicyConfig
from router_backend.config.reward import DifferenceRewardConfig, PricedRewardConfig
from router_backend.contract import TASKS
from router_backend.lab.replay.decision_log import Scored
from router_backend.lab.replay.offpolicy import Estimate, Logged, PropensityError, effective_sample, estimate_all

Floats = NDArray[np.float64]
MIN_ROWS = 50
# Rows of a part, which has random numbers of its own; and parts that are worth starting processes for.
_PART = 2000
_WORTH_PROCESSES = 10


@dataclass(frozen=True, slots=True)
class LogEvaluation:
    """Estimates by measure (reward, quality, cost) and estimator, beside what the log itself earned."""

    taught: int
    evaluated: int
    effective: float  # Kish's effective sample size
    logged: dict[str, float]
    estimates: dict[str, dict[str, Estimate]]
    share: dict[str, float]  # of queries that the policy would send to each arm


def evaluate_on_log(
    rows: Sequence[Scored],
    config: PolicyConfig,
    models: Sequence[ModelConfig] | None = None,
    taught: float = 0.5,
    workers: int = 1,
) -> LogEvaluation:
    """Teach the policy the first `taught` share of `rows` (by time), freeze it, and estimate its value on the rest.

    Args:
        models: the arms; without them, the candidates that the log names, priced by what they cost in it.
        workers: processes that a long log is evaluated in; the result is the same for any number.

    Raises:
        PropensityError: too few rows, or propensities that allow no estimate.
    """
    cut = round(taught * len(rows))
    first, rest = rows[:cut], rows[cut:]
    if len(rest) < MIN_ROWS:
        raise PropensityError(
            f"{len(rest)} scored decisions to evaluate on are too few: at least {MIN_ROWS} are needed"
        )
    arms = list(models) if models else _arms(rows)
    index = {arm.name: i for i, arm in enumerate(arms)}
    rest = [row for row in rest if row.decision.model in index]
    if not rest:
        logged = ", ".join(sorted({row.decision.model for row in rows}))
        raise PropensityError(
            f"none of the models that it chose ({logged}) is configured; there are {', '.join(index)}"
        )
    # What a policy is rewarded for needn't put a price on cost; it is judged by one that does.
    priced = config.reward if isinstance(config.reward, PricedRewardConfig) else DifferenceRewardConfig()
    scale = priced.cost_scale_usd or _scale(rows)
    if config.reward is priced:
        config = config.model_copy(update={"reward": priced.model_copy(update={"cost_scale_usd": scale})})
    policy = build_policy(config, arms, tasks=_tasks(rest))
    _teach(policy, [row for row in first if row.decision.model in index], index)
    target = _all_probabilities(policy, config, arms, rest, workers)
    quality, cost = np.array([r.score for r in rest]), np.array([r.cost for r in rest])
    measures = {"reward": quality - priced.lambda_ * cost / scale, "quality": quality, "cost": cost}
    logs = {name: _logged(rest, index, values) for name, values in measures.items()}
    return LogEvaluation(
        taught=cut,
        evaluated=len(rest),
        effective=effective_sample(logs["reward"], target),
        logged={name: float(np.average(values, weights=_weights(rest))) for name, values in measures.items()},
        estimates={name: estimate_all(log, target) for name, log in logs.items()},
        share={arm.name: float(value) for arm, value in zip(arms, target.mean(0), strict=True)},
    )


def _arms(rows: Sequence[Scored]) -> list[ModelConfig]:
    names = list(dict.fromkeys(name for row in rows for name in row.decision.candidates))
    costs = {name: [row.cost for row in rows if row.decision.model == name] for name in names}
    return [
        ModelConfig(
            name=name,
            upstream=LocalUpstream(kind="local"),
            price=Price(input=1e6 * mean, output=1e6 * mean),  # only orders the arms
            context_window=1_000_000,
        )
        for name in names
        for mean in [float(np.mean(costs[name])) if costs[name] else 0.0]
    ]


def _tasks(rows: Sequence[Scored]) -> tuple[str, ...]:
    """Of the classifier: a log that was read is of one embedding space."""
    return rows[0].decision.tasks or TASKS


def _scale(rows: Sequence[Scored]) -> float:
    """Mean cost of the arm that was most expensive in the log; 1 where nothing cost anything."""
    costs: dict[str, list[float]] = {}
    for row in rows:
        costs.setdefault(row.decision.model, []).append(row.cost)
    return max(float(np.mean(values)) for values in costs.values()) or 1.0


def _teach(policy: Policy, rows: Sequence[Scored], index: dict[str, int]) -> None:
    if rows:
        policy.update_many(
            Batch(
                contexts=np.stack([row.decision.context for row in rows]),
                arms=np.array([index[row.decision.model] for row in rows], np.intp),
                qualities=np.array([row.score for row in rows]),
                charges=in_usd(np.array([row.cost for row in rows])),
                at=np.array([row.decision.created for row in rows]),
            )
        )


def _all_probabilities(
    policy: Policy, config: PolicyConfig, arms: Sequence[ModelConfig], rows: Sequence[Scored], workers: int
) -> Floats:
    """[rows, arms], part by part."""
    index = {arm.name: i for i, arm in enumerate(arms)}
    parts = [(place, rows[start : start + _PART]) for place, start in enumerate(range(0, len(rows), _PART))]
    if workers < 2 or len(parts) < _WORTH_PROCESSES:
        return np.concatenate([_probabilities(policy, part, index, place) for place, part in parts])
    os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})  # the matrices are small
    context = multiprocessing.get_context("spawn")
    taught = (config, arms, policy.dump(), index, _tasks(rows))
    with ProcessPoolExecutor(workers, context, _start, taught) as pool:
        return np.concatenate(list(pool.map(_part, parts)))


_policy: Policy
_index: dict[str, int]


def _start(
    config: PolicyConfig,
    arms: Sequence[ModelConfig],
    learned: Fields,
    index: dict[str, int],
    tasks: tuple[str, ...],
) -> None:
    """Begin a worker with what the policy was taught."""
    global _policy, _index
    _policy, _index = build_policy(config, arms, tasks=tasks), index
    _policy.load(learned)


def _part(numbered: tuple[int, Sequence[Scored]]) -> Floats:
    place, rows = numbered
    return _probabilities(_policy, rows, _index, place)


def _probabilities(policy: Policy, rows: Sequence[Scored], index: dict[str, int], place: int) -> Floats:
    """[rows, arms]: the policy's choice probabilities given each row's own candidates; `place` of these rows among the parts."""
    target, rng = np.zeros((len(rows), len(index))), np.random.default_rng([0, place] if place else 0)
    for i, row in enumerate(rows):
        decision = row.decision
        candidates = tuple(sorted(index[name] for name in decision.candidates if name in index))
        expected = np.full(len(index), np.nan)
        for name, cost in zip(decision.candidates, decision.expected_cost, strict=False):
            if name in index:
                expected[index[name]] = cost
        query = Query(
            context=decision.context,
            candidates=candidates,
            expected_cost=expected,
            task=decision.task,
            task_probabilities=decision.task_probabilities,
            complexity=decision.complexity,
            confidence=max(decision.task_probabilities, default=1.0),
        )
        target[i, candidates] = probabilities(policy, query, rng)
    return target


def _weights(rows: Sequence[Scored]) -> Floats:
    """[rows], mean 1. A row that was unlikely to be scored stands for others like it that were not."""
    weights = 1.0 / np.array([row.selected for row in rows])
    return np.asarray(weights / weights.mean())


def _logged(rows: Sequence[Scored], index: dict[str, int], reward: Floats) -> Logged:
    context = np.stack([row.decision.context for row in rows]).astype(np.float64)
    candidates = np.zeros((len(rows), len(index)), bool)
    for i, row in enumerate(rows):
        candidates[i, [index[name] for name in row.decision.candidates if name in index]] = True
    return Logged(
        context=np.column_stack([context, np.ones(len(rows))]),
        arm=np.array([index[row.decision.model] for row in rows], np.intp),
        propensity=np.array([row.decision.propensity for row in rows], np.float64),
        weight=_weights(rows),
        reward=reward,
        candidates=candidates,
    )
