"""Simulated runs of agents."""

from __future__ import annotations

import math

import numpy as np
import pytest

from router_backend.lab.agents.compare import Estimate, compare, cost_at
from router_backend.lab.agents.play import play, scored_steps
from router_backend.lab.agents.world import MODELS, Bill, Step, runs


def test_runs_are_as_long_as_published_ones() -> None:
    steps = [run.steps for run in runs(400, 0, 0)]
    calls = [max(step.depth for step in of_run) for of_run in steps]
    assert 35 < np.mean(calls) < 65
    prompts = sum(step.prompt for of_run in steps for step in of_run)
    answers = sum(step.answer for of_run in steps for step in of_run)
    assert 60 < prompts / answers < 200
    assert [run.steps[0].prompt for run in runs(5, 0, 0)] == [of_run[0].prompt for of_run in steps[:5]]


def test_a_cache_is_paid_as_providers_say() -> None:
    bill, step = Bill(), Step(0, "", False, 10_000, 100, 0.0, np.ones(3))
    assert bill.pay("large", step, 0.0) == (0, pytest.approx((10_000 * 2.5 + 100 * 15) / 1e6))
    assert bill.pay("large", step, 10.0) == (9984, pytest.approx((16 * 2.5 + 9984 * 0.25 + 100 * 15) / 1e6))
    assert bill.pay("small", step, 20.0)[0] == 0
    assert bill.pay("large", step, 400.0)[0] == 0  # forgotten


def test_what_a_quality_costs_is_the_least_that_a_mix_reaches() -> None:
    curve = [(0.5, 1.0), (0.7, 5.0), (0.9, 3.0)]
    assert cost_at(curve, 0.7) == pytest.approx(2.0)
    assert cost_at(curve, 0.4) == 1.0
    assert math.isnan(cost_at(curve, 0.95))
    assert Estimate.of([1.0, 3.0]).low < 0 < Estimate.of([1.0, 3.0]).high


@pytest.mark.slow
def test_ours_is_cheaper_than_blind_and_sticky_routing_at_the_same_quality() -> None:
    lines = [line for line in compare(2, 15) if line.strategy == "ours"]
    for rival in ("blind", "sticky"):
        assert np.mean([line.against[rival].mean for line in lines]) < 1.0


def test_always_the_same_model_never_switches() -> None:
    events = list(scored_steps(50, 0))
    assert len(events) == 50
    assert play(MODELS[0], 0.0, 0, 2, events).switches == 0.0
    assert play("sticky", 0.2, 0, 2, events).switches == 0.0
