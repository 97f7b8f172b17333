"""From scores to a choice whose probability is known: ceilings, stickiness, shares, and the exploration floor.

    P(arm) = floor(arm) + (1 − Σ floors) · P(arm is the policy's own pick)

The second factor is 0 or 1 for a policy that takes its best score, so the logged propensity is exact. For one that draws
(Thompson) it is estimated by Monte Carlo, when somebody asks for it (`Choice.resolve`), not while the request waits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import add

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.plan import rest_of_session
from router_backend.bandits.policy import Policy
from router_backend.bandits.query import Choice, Query, Scores

# The standard error of an estimated propensity of 0.5 is then 0.008.
DRAWS = 4096
_WORST = float("-inf")


def select(policy: Policy, query: Query, rng: np.random.Generator, most: float = 0.0) -> Choice:
    """Choose an arm of `query.candidates` and count the choice in the policy's shares and budget.

    `most`: expected cost in USD of the most expensive arm that `settled` has left out.
    """
    rules = policy.rules
    if rules.ceilings is not None:
        query = _affordable(policy, query)
    values, means, bonuses, costs = policy.scores(query)
    candidates = query.candidates
    if len(candidates) == 1:
        weight = policy.reward.observe(costs[0], costs, values, query.cost_ratio, most)
        return Choice(
            arm=candidates[0],
            candidates=candidates,
            scores=[0.0],
            means=[0.0],
            bonuses=[0.0],
            costs=costs,
            cost_weight=weight,
            propensity=1.0,
            reason="only_candidate",
        )
    bounded = policy.shares is not None or rules.switch_penalty > 0 or query.time_cost is not None or query.steps > 0
    offsets = _offsets(policy, query, costs) if bounded else None
    pick, reason = _pick(
        policy, query, policy.draw(query, rng, 1)[0].tolist() if policy.stochastic else values, offsets
    )
    drawn = policy.stochastic and reason in (policy.reason, "guard")
    if reason == policy.reason and candidates[pick] == query.previous and _stays(policy, query, pick):
        reason = "sticky"
    if offsets is not None:
        values = [value + offset for value, offset in zip(values, offsets, strict=True)]

    floors, total = policy.floors(candidates)
    point = rng.random()
    chosen = pick
    if point < total:
        chosen = _at(floors, point)
        if chosen != pick:
            reason = "explore"
    arm = candidates[chosen]
    propensity = None if drawn else floors[chosen] + (1.0 - total if chosen == pick else 0.0)
    if policy.shares is not None:
        policy.shares.observe(candidates, arm)
    # A budget weighs what a step is worth against what it costs.
    of_step = [value / (1.0 + query.steps) for value in values] if query.steps else values
    weight = policy.reward.observe(costs[chosen], costs, of_step, query.cost_ratio, most)
    return Choice(
        arm=arm,
        candidates=candidates,
        scores=values,
        means=means,
        bonuses=bonuses,
        costs=costs,
        cost_weight=weight,
        propensity=propensity,
        reason=reason,
        estimate=_Estimate(policy, query, offsets, floors, chosen) if drawn else None,
    )


def greedy(policy: Policy, query: Query) -> int:
    """The arm that the policy prefers, without exploration and without counting: what a shadow policy would do."""
    query = _affordable(policy, query)
    values, _, _, costs = policy.scores(query)
    pick, _ = _pick(policy, query, values, _offsets(policy, query, costs))
    return query.candidates[pick]


def probabilities(policy: Policy, query: Query, rng: np.random.Generator | None = None) -> NDArray[np.float64]:
    """P(`select` chooses arm), FP64 [len(query.candidates)], as shares and budget stand now; sums to 1.

    Exact, but for a policy that draws: there the pick is drawn `DRAWS` times (`rng` makes that repeatable).
    """
    result = np.zeros(len(query.candidates))
    asked = query.candidates
    query = _affordable(policy, query)
    positions = [asked.index(arm) for arm in query.candidates]
    if len(positions) == 1:
        result[positions] = 1.0
        return result
    offsets = _offsets(policy, query, policy.scores(query).costs)
    result[positions] = _mix(policy, query, offsets, rng or np.random.default_rng())
    return result


class _Estimate:
    """A propensity still to be estimated, with all that it depends on as it was when the arm was chosen."""

    __slots__ = ("_arguments", "_chosen", "_floors")

    def __init__(
        self, policy: Policy, query: Query, offsets: list[float] | None, floors: list[float], chosen: int
    ) -> None:
        self._arguments, self._floors, self._chosen = (policy, query, offsets), floors, chosen

    def __call__(self) -> float:
        mixed = _mix(*self._arguments, np.random.default_rng(), self._floors)
        # A pick that no draw repeats still had a probability: half a draw, rather than none.
        least = (1.0 - sum(self._floors)) / (2 * DRAWS)
        return float(max(mixed[self._chosen], self._floors[self._chosen] + least))


def _mix(
    policy: Policy,
    query: Query,
    offsets: list[float] | None,
    rng: np.random.Generator,
    floors: Sequence[float] | None = None,
) -> NDArray[np.float64]:
    mixed = np.array(policy.floors(query.candidates)[0] if floors is None else floors)
    rest = 1.0 - float(mixed.sum())
    pick, reason = _pick(policy, query, policy.scores(query).values, offsets)
    if policy.stochastic and reason in (policy.reason, "guard"):
        drawn = policy.draw(query, rng, DRAWS) + (0.0 if offsets is None else np.array(offsets))
        drawn[np.isnan(drawn)] = _WORST
        drawn[:, _unsure(policy, query)] = _WORST
        mixed += rest * np.bincount(drawn.argmax(axis=1), minlength=len(mixed)) / DRAWS
    else:
        mixed[pick] += rest
    return mixed


def _stays(policy: Policy, query: Query, pick: int) -> bool:
    """Whether another candidate than the session's last would be picked, had nobody answered before."""
    if query.cache_saving is None and policy.rules.switch_penalty <= 0:
        return False
    afresh = query.afresh()
    scores = policy.scores(afresh)
    best, _ = _pick(policy, afresh, scores.values, _offsets(policy, afresh, scores.costs))
    return best != pick


def _affordable(policy: Policy, query: Query) -> Query:
    """The query without the arms over their cost ceilings."""
    if policy.rules.ceilings is None:
        return query
    return query.among(policy.rules.within_ceilings(query.candidates, policy.scores(query).costs))


def _offsets(policy: Policy, query: Query, costs: list[float]) -> list[float] | None:
    """What stickiness, shares, the price of time and the rest of the session add to the candidates' values; None: nothing.

    `costs`: USD by candidate.
    """
    rules, shares, previous = policy.rules, policy.shares, query.previous
    sticky = rules.switch_penalty > 0 and previous is not None and previous in query.candidates
    times, rest = _time_prices(policy, query, costs), rest_of_session(policy, query, costs)
    if not sticky and shares is None and times is None and rest is None:
        return None
    offsets = [0.0 if shares is None else shares.offset(arm) for arm in query.candidates]
    if sticky:
        for i, arm in enumerate(query.candidates):
            if arm != previous:
                offsets[i] -= rules.switch_penalty
    if times is not None:
        offsets = [offset - price for offset, price in zip(offsets, times, strict=True)]
    if rest is not None:
        offsets = list(map(add, offsets, rest))
    return offsets


def _time_prices(policy: Policy, query: Query, costs: list[float]) -> list[float] | None:
    """What the time of each candidate's answer takes from its reward; None: nothing. `costs`: USD by candidate."""
    if query.time_cost is None or not policy.rules.rewarded:
        return None
    dollar = policy.reward.dollar(costs)
    return [dollar * query.time_cost.item(arm) for arm in query.candidates]


def _pick(policy: Policy, query: Query, values: list[float], offsets: list[float] | None) -> tuple[int, str]:
    """Position of the best candidate, and why it is that one. Equal values go to the first."""
    rules = policy.rules
    if query.confidence < rules.min_confidence and rules.default in query.candidates:
        return query.candidates.index(rules.default), "low_confidence"
    if offsets is not None:
        values = [value + offset for value, offset in zip(values, offsets, strict=True)]
    best = _best(values)
    if best >= 0:
        unsure = _unsure(policy, query)
        if best not in unsure:
            return best, policy.reason
        kept = [_WORST if i in unsure else value for i, value in enumerate(values)]
        return max(range(len(kept)), key=kept.__getitem__), "guard"
    fallback = query.candidates.index(rules.default) if rules.default in query.candidates else 0
    return fallback, "fallback:scores"


def _best(values: Sequence[float]) -> int:
    """Position of the highest value, the first of equal ones; -1 if none is a number."""
    best, best_value = -1, _WORST
    for i, value in enumerate(values):
        if value > best_value:  # false for NaN
            best, best_value = i, value
    return best


def settled(policy: Policy, query: Query) -> tuple[Query, float]:
    """The query of a step within a loop: only the arm that the loop is with, and those that are surely better.

    And the expected cost in USD of the most expensive arm, with those that are left out.
    """
    previous = query.previous
    if previous is None or previous not in query.candidates or len(query.candidates) == 1:
        return query, 0.0
    scores = policy.scores(query)
    rest = rest_of_session(policy, query, scores.costs)
    unsure = _no_better(policy, query, scores, previous, policy.rules.loop_confidence, rest)
    left = tuple(arm for i, arm in enumerate(query.candidates) if i not in unsure)
    return query.among(left), max(scores.costs)


def _unsure(policy: Policy, query: Query) -> list[int]:
    """Positions that the guard leaves out.

    It looks at this request alone, whatever is planned: the errors are those of one step, and a plan counts a gain as often as it has steps.
    """
    guard = policy.rules.guard
    if guard is None or guard.reference not in query.candidates:
        return []
    return _no_better(policy, query, policy.scores(query), guard.reference, guard.confidence)


def _no_better(
    policy: Policy, query: Query, scores: Scores, reference: int, confidence: float, rest: list[float] | None = None
) -> list[int]:
    """Positions of arms that aren't better than the reference, a candidate, by enough standard errors of the difference.

    Better in expected reward, with what the rest of the session is worth where it is given: optimism is no evidence.
    """
    errors = policy.standard_errors(query)
    means, times = scores.means, _time_prices(policy, query, scores.costs)
    if times is not None:
        means = [mean - price for mean, price in zip(means, times, strict=True)]
    if rest is not None:
        means = list(map(add, means, rest))
    own = query.candidates.index(reference)
    return [
        i
        for i, mean in enumerate(means)
        if i != own and not mean - means[own] >= confidence * math.hypot(errors[i], errors[own])
    ]


def _at(floors: Sequence[float], point: float) -> int:
    """Position that `point`, uniform in [0, Σ floors), falls on."""
    for i, floor in enumerate(floors):
        if point < floor:
            return i
        point -= floor
    # Rounding of the sum: the last one that has a floor.
    return max(i for i, floor in enumerate(floors) if floor > 0)
