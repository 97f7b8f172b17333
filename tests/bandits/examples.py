"""Arms, policies and requests for the bandits' tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.context import CONTEXT_DIM, EARLIER_DIM, widened
from router_backend.bandits.factory import build_policy
from router_backend.bandits.policy import Policy
from router_backend.bandits.query import Query
from router_backend.bandits.statistics.prior import Prior
from router_backend.config.models import ModelConfig
from router_backend.config.policy import POLICY_SECTIONS, policy_config

NOW = 1_760_000_000.0
DAY = 86_400.0


def make_models(*prices: float, **fields: Any) -> list[ModelConfig]:
    """Models m0, m1, … at these prices; a field is a list by model, or one value for all."""
    return [
        ModelConfig.model_validate(
            {
                "name": f"m{i}",
                "upstream": {"kind": "local"},
                "price": {"input": price, "output": price},
                "context_window": 8192,
                **{name: value[i] if isinstance(value, list) else value for name, value in fields.items()},
            }
        )
        for i, price in enumerate(prices)
    ]


def make_policy(
    name: str = "linucb",
    models: Sequence[ModelConfig] | None = None,
    prior: Prior | None = None,
    default: str | None = None,
    **fields: Any,
) -> Policy:
    """Settings that only other policies have are left out, so that one test may run over all policies."""
    theirs = {setting for section in POLICY_SECTIONS.values() for setting in section.model_fields}
    settings = {
        setting: value
        for setting, value in {"components": 32, **fields}.items()
        if setting in POLICY_SECTIONS[name].model_fields or setting not in theirs
    }
    return build_policy(policy_config({"name": name, **settings}), models or make_models(1, 2, 3), prior, default)


def make_context(rng: np.random.Generator) -> NDArray[np.float32]:
    """Of a user's own turn: of no step in a loop."""
    return widened((rng.normal(size=EARLIER_DIM) / 8).astype(np.float32))


def make_query(
    context: NDArray[np.float32] | None = None,
    candidates: Sequence[int] = (0, 1, 2),
    costs: Sequence[float] | NDArray[np.float64] = (1.0, 2.0, 3.0),
    **fields: Any,
) -> Query:
    return Query(
        context=np.zeros(CONTEXT_DIM, np.float32) if context is None else context,
        candidates=tuple(candidates),
        expected_cost=np.array(costs, np.float64),
        **fields,
    )


def teach(policy: Policy, rng: np.random.Generator, n: int, arms: int = 3, at: float = NOW) -> None:
    """n observations of random contexts, arms and qualities."""
    for _ in range(n):
        policy.update(make_context(rng), int(rng.integers(arms)), float(rng.random()), 1e-3 * float(rng.random()), at)
