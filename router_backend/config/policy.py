"""`policy:` and `experiments:` how an arm is chosen and what it is rewarded for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from router_backend.config.base import Section
from router_backend.contract import COMPONENT_CHOICES, EMBEDDING_DIM, TASKS

PolicyName = Literal[
    "linucb",
    "lints",
    "ucb1",
    "thompson",
    "epsilon_greedy",
    "task",
    "complexity",
    "binary",
    "cascade",
    "fixed",
    "random",
]


class RewardConfig(Section):
    """Quality and cost to one number; both are kept apart in the state, so a change here needs no new learning."""

    name: Literal["difference", "ratio", "budget", "quality_floor"] = "difference"
    lambda_: Annotated[
        float, Field(alias="lambda", ge=0, description="price of cost in `difference`; where `budget` starts")
    ] = 0.2
    cost_scale_usd: Annotated[
        float | None,
        Field(gt=0, description="cost of a request that λ is the price of; default: the dearest arm's mean"),
    ] = None
    usd_per_1000: Annotated[float | None, Field(gt=0, description="`budget`: target spend per 1,000 requests")] = None
    floor: Annotated[float, Field(ge=0, le=1, description="`quality_floor`: the quality to hold")] = 0.8

    @model_validator(mode="after")
    def _budget_needs_target(self) -> RewardConfig:
        if self.name == "budget" and self.usd_per_1000 is None:
            raise ValueError("reward `budget` needs `usd_per_1000`")
        return self


class TaskRule(Section):
    """One row of the task table: the model, and where complexity moves it."""

    model: str
    below: Annotated[dict[str, float], Field(description="model: complexity under which it is taken instead")] = {}
    above: Annotated[dict[str, float], Field(description="model: complexity over which it is taken instead")] = {}


class CascadeConfig(Section):
    """FrugalGPT's cascade (Chen et al. 2023): cheap first, the next when the scorer is not content."""

    order: Annotated[list[str], Field(description="arms, cheapest first; default: by price")] = []
    scorer: Literal["heuristic", "logprob", "judge"] = "heuristic"
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    judge: Annotated[str | None, Field(description="`judge`: the arm that grades answers")] = None


class PolicyConfig(Section):
    """A policy and its parameters; a parameter that the policy doesn't know is ignored by it."""

    name: PolicyName = "linucb"
    alpha: Annotated[float, Field(ge=0, description="width of the confidence bound")] = 0.3
    epsilon: Annotated[
        float, Field(ge=0, le=1, description="floor: each candidate gets at least epsilon/candidates")
    ] = 0.02
    components: Annotated[int, Field(description="components of the embedding in the context")] = EMBEDDING_DIM
    new_share: Annotated[
        float, Field(ge=0, le=1, description="floor that the new arms have together, if that is more than epsilon's")
    ] = 0.05
    new_until: Annotated[float, Field(ge=0, description="observations after which an arm isn't new")] = 30.0
    initial_quality: Annotated[
        float, Field(ge=0, le=1, description="quality expected of an arm before anything is known of it")
    ] = 0.5
    ridge: Annotated[float, Field(gt=0, description="weight of the prior (the ridge penalty)")] = 1.0
    discount_per_day: Annotated[float, Field(gt=0, le=1, description="weight that evidence keeps after a day")] = 1.0
    prior: Annotated[str | None, Field(description="a file written by `llm-router bootstrap`")] = None
    prior_weight: Annotated[float, Field(ge=0, description="observations that a prior counts for at most, per arm")] = (
        50.0
    )
    reward: RewardConfig = RewardConfig()
    table: Annotated[
        dict[str, str | TaskRule],
        Field(description="task to model: all that `task` goes by; for linucb and lints, where they start from"),
    ] = {}
    thresholds: Annotated[
        dict[str, float], Field(description="`complexity`: model to the lowest complexity it takes")
    ] = {}
    strong: str | None = None
    weak: str | None = None
    threshold: Annotated[
        float, Field(ge=0, le=1, description="`binary`: win probability over which strong is taken")
    ] = 0.5
    model: Annotated[str | None, Field(description="`fixed`: the model")] = None
    cascade: CascadeConfig = CascadeConfig()
    min_confidence: Annotated[
        float, Field(ge=0, le=1, description="task confidence under which the default is taken")
    ] = 0.0
    switch_penalty: Annotated[float, Field(ge=0, description="score taken from arms other than the session's last")] = (
        0.0
    )

    @model_validator(mode="after")
    def _known_names(self) -> PolicyConfig:
        if self.components not in COMPONENT_CHOICES:
            raise ValueError(f"components is one of {', '.join(map(str, COMPONENT_CHOICES))}")
        unknown = sorted(set(self.table) - set(TASKS))
        if unknown:
            raise ValueError(f"unknown task {unknown[0]!r} in table; tasks are {', '.join(TASKS)}")
        return self


class Experiment(Section):
    """One arm of an A/B test of policies, by stable hash of the session."""

    name: Annotated[str, Field(min_length=1)]
    share: Annotated[float, Field(gt=0, le=1)]
    policy: PolicyConfig


class ShadowPolicy(Section):
    """A policy that is scored and logged for each decision, never served."""

    name: Annotated[str, Field(min_length=1)]
    policy: PolicyConfig


class ImplicitSignals(Section):
    """Scores that a signal stands for when nobody gave a score; null: the signal teaches nothing."""

    upstream_error: Annotated[float | None, Field(ge=0, le=1)] = 0.0
    truncated: Annotated[float | None, Field(ge=0, le=1)] = None
    asked_again: Annotated[float | None, Field(ge=0, le=1, description="the same prompt again in a session")] = None
    grace_seconds: Annotated[
        float, Field(ge=0, description="a signal teaches after this long, unless somebody has given a score by then")
    ] = 3600.0
