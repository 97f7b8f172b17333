"""The sentence that says whether routing pays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from router_backend.lab.replay.evaluation import Evaluation
from router_backend.lab.replay.policies import Tuning
from router_backend.lab.replay.runner import Replay, parse_grid, run_grid
from router_backend.lab.replay.verdict import sentence, verdict
from tests.lab.replay.worlds import make_world

DATA, CONTEXTS = make_world()
GRID = parse_grid(["linucb"], ["0.1", "0.5"], ["32"], 2, 0.2, ["none"])


def evaluated(free: bool = False) -> Evaluation:
    data = replace(DATA, cost=DATA.cost * np.array([1.0, 1.0, 0.0])) if free else DATA
    replay = Replay(data, CONTEXTS, Tuning(), None)
    return Evaluation(replay, GRID, run_grid(replay, GRID, workers=1))


def test_quality_and_cost_are_those_of_the_most_careful_setting() -> None:
    evaluation = evaluated()
    found = verdict(evaluation, "linucb")
    points = {price: evaluation.point(evaluation.runs_of("linucb", price, 32)) for price in GRID.lambdas}
    best = max(points.values(), key=lambda point: point["quality"])
    assert found["model"] == "large"
    assert found["quality"] == best["quality"] == points[found["lambda"]]["quality"]
    large_cost = evaluation.single_cost[2]
    assert found["cost_share"] == pytest.approx(best["cost"] / large_cost)
    for name in ("quality", "cost_share"):
        low, high = found[f"{name}_ci95"]
        assert low <= found[name] <= high
    text = sentence(found)
    assert f"{found['quality']:.1%} (" in text
    assert text.endswith(f"of the cost of large, the best single model, which has {found['model_quality']:.1%}.")


def test_of_a_model_that_costs_nothing_no_share_is_said() -> None:
    found = verdict(evaluated(free=True), "linucb")
    assert found["cost_share"] is None
    assert sentence(found).endswith("and costs nothing.")
