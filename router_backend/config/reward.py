"""`policy.reward:` what an arm is rewarded for, one section for each reward."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from router_backend.config.base import Mistake, Section, by_name, named, variant


class PricedRewardConfig(Section):
    """What the rewards share that put a price on cost."""

    lambda_: Annotated[
        float,
        Field(
            alias="lambda",
            ge=0,
            description="cost weight: the quality that the most expensive arm's usual answer must add",
        ),
    ] = 0.2
    cost_scale_usd: Annotated[
        float | None,
        Field(gt=0, description="request cost that λ refers to; default: the most expensive arm's mean"),
    ] = None


class DifferenceRewardConfig(PricedRewardConfig):
    """Quality less weighted cost: quality − λ · cost / scale."""

    name: Annotated[Literal["difference"], Field(description="chooses this reward")] = "difference"

    example: ClassVar[str] = "{name: difference, lambda: 0.2}"


class RatioRewardConfig(Section):
    """Quality per cost, in units of the cheapest candidate's cost."""

    name: Annotated[Literal["ratio"], Field(description="chooses this reward")] = "ratio"

    example: ClassVar[str] = "{name: ratio}"


class BudgetRewardConfig(PricedRewardConfig):
    """As `difference`, but λ is adjusted until the mean spend meets a target; `lambda` is the starting value."""

    name: Annotated[Literal["budget"], Field(description="chooses this reward")] = "budget"
    usd_per_1000: Annotated[
        float | None, Field(gt=0, description="target spend per 1,000 requests; this or `usd_per_day`")
    ] = None
    usd_per_day: Annotated[
        float | None, Field(gt=0, description="target spend of each router per day, at any load")
    ] = None

    example: ClassVar[str] = "{name: budget, usd_per_1000: 0.40}"

    @model_validator(mode="after")
    def _one_target(self) -> BudgetRewardConfig:
        if self.usd_per_1000 is None and self.usd_per_day is None:
            raise Mistake("is required, or usd_per_day in its place", "usd_per_1000")
        if self.usd_per_1000 is not None and self.usd_per_day is not None:
            raise Mistake("usd_per_1000 is a target already; delete one of the two", "usd_per_day")
        return self


class QualityFloorRewardConfig(Section):
    """The cheapest arm whose lower confidence bound of quality clears a floor."""

    name: Annotated[Literal["quality_floor"], Field(description="chooses this reward")] = "quality_floor"
    floor: Annotated[float, Field(ge=0, le=1, description="the quality to hold")] = 0.8

    example: ClassVar[str] = "{name: quality_floor, floor: 0.85}"


REWARD_SECTIONS: dict[str, type[Section]] = {
    "difference": DifferenceRewardConfig,
    "ratio": RatioRewardConfig,
    "budget": BudgetRewardConfig,
    "quality_floor": QualityFloorRewardConfig,
}

RewardConfig = Annotated[
    Annotated[DifferenceRewardConfig, variant("difference")]
    | Annotated[RatioRewardConfig, variant("ratio")]
    | Annotated[BudgetRewardConfig, variant("budget")]
    | Annotated[QualityFloorRewardConfig, variant("quality_floor")],
    by_name(),
    named("reward", "difference", tuple(REWARD_SECTIONS)),
]
"""Quality and cost to one number; both are kept apart in the state, so a change here needs no new learning."""
