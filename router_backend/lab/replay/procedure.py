"""The replay protocol: one for all policies and all data.

Evaluated rows come in a seeded order. The first `bootstrap` share of them is given to a policy with full information (every
model's score and cost); the rest comes one query at a time, and the policy learns only what the arm that it chose got.
All figures are of the rest. A prior may have been fitted on the data's `train` rows, never on evaluated ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.batch import Batch
from router_backend.bandits.charges import in_usd
from router_backend.bandits.policy import Policy
from router_backend.bandits.query import Choice, Query
from router_backend.bandits.rewards import Budget
from router_backend.bandits.selection import select
from router_backend.gateway.bills import NOT_ASKED, Bills
from router_backend.lab.replay.datasets import RoutingData
from router_backend.lab.replay.encode import Contexts
from router_backend.lab.replay.measures import Run
from router_backend.lab.replay.scenarios import Grading, Scenario, World, arrivals, unfold

# The replay's clock, for discounting: so many queries are a day.
QUERIES_A_DAY = 1000
_DAY = 86_400.0
# Of a model's mean cost: less than nearly all of its answers cost in the five sets of docs/replay.md.
_LEAST = 0.1


@dataclass(frozen=True, slots=True)
class Episode:
    """One seeded order of the evaluated rows."""

    seed: int
    bootstrap: NDArray[np.intp]
    online: NDArray[np.intp]


def episode(rows: int, share: float, seed: int) -> Episode:
    """Order `rows` evaluated rows and cut off the first `share`."""
    order = np.random.default_rng(seed).permutation(rows)
    cut = round(share * rows)
    return Episode(seed, order[:cut], order[cut:])


def queries(contexts: Contexts, arms: int, usual: NDArray[np.float64] | None = None) -> list[Query]:
    """What a policy is asked, for each row. No cost is known beforehand: policies learn it, as they learn quality.

    In place of a prompt's price, which serving knows, no cost is below a part of `usual` [arms], what a query costs on the mean in USD.
    """
    unknown, everyone = np.full(arms, np.nan), tuple(range(arms))
    least = None if usual is None else _LEAST * usual
    probabilities, complexity = contexts.task_probabilities, contexts.complexity
    best = probabilities.argmax(1)
    return [
        Query(
            context=contexts.context[row],
            candidates=everyone,
            expected_cost=unknown,
            prompt_cost=least,
            task=contexts.tasks[best[row]],
            task_probabilities=probabilities[row],
            complexity=float(complexity[row]),
            confidence=float(probabilities[row, best[row]]),
        )
        for row in range(len(best))
    ]


Observer = Callable[[int, Choice, float, float], None]
"""Called with the row, the choice, and what the answer was worth and cost."""


def play(
    policy: Policy,
    asked: list[Query],
    data: RoutingData,
    course: Episode,
    scenario: Scenario,
    seed: int,
    observe: Observer | None = None,
) -> Run:
    """Give the bootstrap rows in full, then let the policy choose and learn, one query at a time.

    Args:
        policy: new; its priors are in it already. It is changed.
        asked, data: of the evaluated rows.
        seed: of everything random but the order: exploration, lost and false feedback.
    """
    choosing, happening, coming = (
        np.random.default_rng(s) for s in np.random.SeedSequence([course.seed, seed]).spawn(3)
    )
    world = unfold(scenario, data.quality[course.online], happening)
    cost = data.cost[course.online]
    if scenario.longer_at is not None:
        cost[int(scenario.longer_at * len(cost)) :] *= 2.0
    bills, told = Bills(), NOT_ASKED  # as in a gateway
    absent = ~world.available.all(0)
    teach(policy, asked, data.rows(course.bootstrap), course.bootstrap, skip=np.flatnonzero(absent))
    arms = np.empty(len(course.online), np.intp)
    guarded = np.zeros(len(course.online), bool)
    waiting: deque[tuple[int, int]] = deque()  # (position, arm)
    restricted = absent.any()
    times, now = arrivals(scenario, len(arms), QUERIES_A_DAY, coming), 0.0
    if isinstance(policy.reward, Budget):
        policy.reward.timed_by(lambda: now)
    grading = None if scenario.grading is None else Grading(scenario.grading)
    for position, row in enumerate(course.online):
        query = asked[row]
        if restricted:
            query = query.among(tuple(np.flatnonzero(world.available[position]).tolist()))
        if scenario.budget is not None or scenario.by_day is not None:
            now = float(times[position])
            told = bills.ask()
            query = query._replace(cost_ratio=told.ratio)
        choice = select(policy, query, choosing)
        arm = arms[position] = choice.arm
        bills.enter(told, choice.costs[choice.candidates.index(arm)], float(cost[position, arm]))
        guarded[position] = choice.reason == "guard"
        if observe is not None:
            observe(int(row), choice, float(world.quality[position, arm]), float(cost[position, arm]))
        if grading is not None:
            world.heard[position] = grading.chosen(choice, happening.random())
        waiting.append((position, arm))
        if len(waiting) > world.delay:
            _learn(policy, asked, course, world, cost, *waiting.popleft())
    span = np.arange(len(arms))
    return Run(
        course.online, arms, world.quality[span, arms], cost[span, arms], world.quality, world.available, guarded, times
    )


def _learn(
    policy: Policy,
    asked: list[Query],
    course: Episode,
    world: World,
    cost: NDArray[np.float64],
    position: int,
    arm: int,
) -> None:
    if world.heard[position]:
        at = (len(course.bootstrap) + position) / QUERIES_A_DAY * _DAY
        context = asked[course.online[position]].context
        policy.update(context, arm, float(world.shown[position, arm]), float(cost[position, arm]), at)


def teach(
    policy: Policy, asked: list[Query], known: RoutingData, rows: NDArray[np.intp], skip: NDArray[np.intp] | None = None
) -> None:
    """Full information: every arm's score and cost on `known`, whose queries are `asked[rows]`; not for arms in `skip`."""
    if not len(rows):
        return
    contexts = np.stack([asked[row].context for row in rows])
    at = np.arange(len(rows)) / QUERIES_A_DAY * _DAY
    for arm in range(len(known.models)):
        if skip is None or arm not in skip:
            taught = np.full(len(rows), arm, np.intp)
            policy.update_many(Batch(contexts, taught, known.quality[:, arm], in_usd(known.cost[:, arm]), at))
