"""Recorded prompts through the running system: real decisions, real answers, the recorded score as feedback.

The offline twin plays the same prompts in the same order through the same policy and the same expected costs; what is left
to chance (the exploration floor, and which feedback is in before the next decision) differs between its runs as it does live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.factory import build_policy
from router_backend.config import RouterConfig
from router_backend.lab.replay.datasets import RoutingData
from router_backend.lab.replay.encode import Contexts
from router_backend.lab.replay.protocol import Episode, play, queries
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


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where the running system is."""

    url: str
    api_key: str = ""


@contextmanager
def connected(gateway: Gateway) -> Iterator[Any]:
    """An HTTP client of the gateway.

    Raises:
        RuntimeError: nothing answers at its address.
    """
    import httpx

    headers = {"authorization": f"Bearer {gateway.api_key}"} if gateway.api_key else {}
    limits = httpx.Timeout(120, connect=5)
    with httpx.Client(base_url=gateway.url.rstrip("/"), headers=headers, timeout=limits) as client:
        try:
            client.get("/health/ready").raise_for_status()
        except httpx.HTTPError as error:
            raise RuntimeError(
                f"no gateway is ready at {gateway.url} ({error}); start one with `llm-router up`"
            ) from error
        yield client


def simulate(
    client: Any,
    data: RoutingData,
    arms: Sequence[str],
    rows: NDArray[np.intp],
    max_tokens: int,
    answered: Callable[[Live], None],
) -> list[Live]:
    """Send `rows` of the data one after another; `arms` are the router's names of the data's models, in its order.

    Raises:
        RuntimeError: the gateway refused a request; the message is the gateway's.
    """
    index = {name: arm for arm, name in enumerate(arms)}
    found = []
    for row in rows:
        body = {
            "model": "auto",
            "messages": [{"role": "user", "content": str(data.prompts[row])}],
            "max_tokens": max_tokens,
        }
        response = _checked(client.post("/v1/chat/completions", json=body, headers={"x-router-models": ",".join(arms)}))
        decision_id, served = response.headers["x-router-decision-id"], response.headers["x-router-model"]
        arm = index[served]
        decision = _checked(client.get(f"/v1/decisions/{decision_id}")).json()
        score, cost = float(data.quality[row, arm]), float(data.cost[row, arm])
        _checked(client.post("/v1/feedback", json={"decision_id": decision_id, "score": score, "cost_usd": cost}))
        expected = tuple(float(decision["expected_cost"].get(name, "nan")) for name in arms)
        found.append(Live(int(row), arm, score, cost, expected, decision["reason"]))
        answered(found[-1])
    return found


def _checked(response: Any) -> Any:
    if response.status_code != 200:
        raise RuntimeError(f"{response.request.url.path} answered {response.status_code}: {response.text[:300]}")
    return response


def twin_curves(
    config: RouterConfig, data: RoutingData, contexts: Contexts, arms: Sequence[str], live: Sequence[Live]
) -> Floats:
    """[TWIN_RUNS, queries]: recorded quality of what the same policy chooses offline; `live` without fallbacks."""
    models = [config.model(name) for name in arms]
    rows = np.array([answer.row for answer in live], np.intp)
    asked = queries(contexts, len(arms))
    for answer in live:
        asked[answer.row] = replace(asked[answer.row], expected_cost=np.array(answer.expected_cost))
    course = Episode(0, np.zeros(0, np.intp), rows)
    default = config.default_model if config.default_model in arms else None
    curves = []
    for seed in range(TWIN_RUNS):
        policy = build_policy(config.policy, models, default=default)
        curves.append(play(policy, asked, data, course, Scenario("live", delay=seed % _LAGS), seed).played.quality)
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
    """Cost and quality against sending every prompt to the dearest model."""
    rows = np.array([answer.row for answer in live], np.intp)
    dearest = int(data.cost[rows].mean(0).argmax())
    spent, would = sum(answer.cost for answer in live), float(data.cost[rows, dearest].sum())
    return {
        "cost_usd": spent,
        "dearest_cost_usd": would,
        "saved": 1 - spent / would if would > 0 else 0.0,
        "quality": float(np.mean([answer.quality for answer in live])),
        "dearest_quality": float(data.quality[rows, dearest].mean()),
    }
