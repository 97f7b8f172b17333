"""Rewards: how quality and cost make one number."""

from __future__ import annotations

from router_backend.bandits.rewards.budget import Budget
from router_backend.bandits.rewards.difference import Difference
from router_backend.bandits.rewards.quality_floor import QualityFloor
from router_backend.bandits.rewards.ratio import Ratio
from router_backend.bandits.rewards.reward import Reward
from router_backend.config.reward import (
    BudgetRewardConfig,
    QualityFloorRewardConfig,
    RatioRewardConfig,
    RewardConfig,
)

__all__ = ["Budget", "Difference", "QualityFloor", "Ratio", "Reward", "build_reward"]


def build_reward(config: RewardConfig) -> Reward:
    """The reward that `policy.reward` asks for."""
    if isinstance(config, RatioRewardConfig):
        return Ratio()
    if isinstance(config, BudgetRewardConfig):
        return Budget(config.usd_per_1000, config.lambda_, config.cost_scale_usd, usd_per_day=config.usd_per_day)
    if isinstance(config, QualityFloorRewardConfig):
        return QualityFloor(config.floor)
    return Difference(config.lambda_, config.cost_scale_usd)
