"""A policy judged on a decision log, in any number of processes."""

from __future__ import annotations

import numpy as np
import pytest

from router_backend.config.policy import policy_config
from router_backend.lab.replay import log_policy
from router_backend.lab.replay.decision_log import Scored
from tests.state.examples import make_decision


@pytest.mark.parametrize("name", ["linucb", "thompson"])
def test_processes_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_policy, "_PART", 40)
    monkeypatch.setattr(log_policy, "_WORTH_PROCESSES", 2)
    draw = np.random.default_rng(0)
    rows = [
        Scored(make_decision(n, propensity=1 / 3), score=float(draw.random() < 0.6), cost=float(draw.random() / 1000))
        for n in range(240)
    ]
    one, two = (log_policy.evaluate_on_log(rows, policy_config({"name": name}), workers=n) for n in (1, 2))
    assert one.share == pytest.approx(two.share, abs=1e-9)
    for measure, estimates in one.estimates.items():
        for estimator, estimate in estimates.items():
            assert estimate.value == pytest.approx(two.estimates[measure][estimator].value, rel=1e-6, abs=1e-9)
