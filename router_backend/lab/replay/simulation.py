"""Recorded prompts through the running system: real decisions, real answers, the recorded score as feedback.

The offline twin plays the same prompts in the same order through the same policy and the same expected costs; what is left
to chance (the exploration floor, and which feedback is in before the next decision) differs between its runs as it does live.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_router_client import Hints, RouterClient
from router_backend.bandits.factory import build_policy
from router_backend.config import RouterConfig
from router_backend.lab.replay.datasets import RoutingData
from router_backend.lab.replay.encode import Contexts
from router_backend.lab.replay.procedure import Episode, play, queries
from router_backend.lab.replay.scenarios import Scenario

Floats = NDArray[np.float64]
TWIN_RUNS = 20
# A feedback is folded in after none to three further decisions, depending on how fast answers follow each other.
_LAGS = 4


@dataclass(frozen=True, slots=True)
class Live:
    """One prompt that the system answered."""

    row: int
    arm: int
    quality: float  # recorded
    cost: float  # recorded, USD
    expected_cost: tuple[float, ...]  # USD by arm, as the decision saw them
    reason: str

    @property
    def routed(self) -> bool:
        """Whether the policy chose; a fallback (a decision past its deadline) teaches nothing and is nobody's choice."""
        return not self.reason.startswith("fallback")


def simulate(
    client: RouterClient,
    data: RoutingData,
    arms: Sequence[str],
    rows: NDArray[np.intp],
    max_tokens: int,
    answered: Callable[[Live], None],
) -> list[Live]:
    """Send `rows` of the data one after another; `arms` are the router's names of the data's models, in its order.

    Raises:
        RouterError: the gateway refused a request; the message is the gateway's.
    """
    index, hints = {name: arm for arm, name in enumerate(arms)}, Hints(models=arms)
    found = []
    for row in rows:
        given = client.chat(str(data.prompts[row]), hints=hints, max_tokens=max_tokens).decision
        arm = index[given.model]
        decision = client.decision(given.decision_id)
        score, cost = float(data.quality[row, arm]), float(data.cost[row, arm])
        client.feedback(given.decision_id, score, cost_usd=cost)
        expected = tuple(float(decision.expected_cost.get(name, "nan")) for name in arms)
        found.append(Live(int(row), arm, score, cost, expected, decision.reason))
        answered(found[-1])
    return found


def twin_curves(
    config: RouterConfig, data: RoutingData, contexts: Contexts, arms: Sequence[str], live: Sequence[Live]
) -> Floats:
    """[TWIN_RUNS, queries]: recorded quality of what the same policy chooses offline; `live` without fallbacks."""
    models = [config.model(name) for name in arms]
    rows = np.array([answer.row for answer in live], np.intp)
    asked = queries(contexts, len(arms))
    for answer in live:
        asked[answer.row] = asked[answer.row]._replace(expected_cost=np.array(answer.expected_cost))
    course = Episode(0, np.zeros(0, np.intp), rows)
    default = config.default_model if config.default_model in arms else None
    curves = []
    for seed in range(TWIN_RUNS):
        policy = build_policy(config.policy, models, default=default)
        curves.append(play(policy, asked, data, course, Scenario("live", delay=seed % _LAGS), seed).quality)
    return np.array(curves)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Live mean quality against the offline twin's."""

    live: float
    offline: float
    low: float  # 95 % of the twin's runs, by their spread
    high: float

    @property
    def agrees(self) -> bool:
        return self.low <= self.live <= self.high


def agreement(live: Sequence[Live], twin: Floats) -> Agreement:
    """The interval is the twin's mean ± 2.09 standard deviations of one run (Student's t, 19 degrees of freedom).

    A floor of half a percent covers rounding between the served and the offline runtime.
    """
    means = twin.mean(1)
    half = 2.09 * float(means.std(ddof=1)) * (1 + 1 / len(means)) ** 0.5 + 0.005
    center = float(means.mean())
    return Agreement(float(np.mean([answer.quality for answer in live])), center, center - half, center + half)


def savings(data: RoutingData, live: Sequence[Live]) -> dict[str, float]:
    """Cost and quality against sending every prompt to the most expensive model."""
    rows = np.array([answer.row for answer in live], np.intp)
    costliest = int(data.cost[rows].mean(0).argmax())
    spent, would = sum(answer.cost for answer in live), float(data.cost[rows, costliest].sum())
    return {
        "cost_usd": spent,
        "dearest_cost_usd": would,
        "saved": 1 - spent / would if would > 0 else 0.0,
        "quality": float(np.mean([answer.quality for answer in live])),
        "dearest_quality": float(data.quality[rows, costliest].mean()),
    }
