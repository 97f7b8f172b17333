"""Sessions are assigned to A/B policies by a stable hash, in the configured shares."""

from __future__ import annotations

import subprocess
import sys

import pytest

from router_backend.config import RouterConfig
from router_backend.routing.experiments import assign
from tests.support.arms import model, router_config


def _config(**shares: float) -> RouterConfig:
    experiments = [{"name": name, "share": share, "policy": {"name": "random"}} for name, share in shares.items()]
    return router_config([model("m0", "http://127.0.0.1:9/v1")], experiments=experiments)


def test_shares_are_met_and_the_rest_stays_with_the_main_policy() -> None:
    config, n = _config(a=0.2, b=0.3), 20_000
    names = [assign(config, f"session-{i}").experiment for i in range(n)]
    for name, share in (("a", 0.2), ("b", 0.3), ("", 0.5)):
        assert names.count(name) / n == pytest.approx(share, abs=0.015)
    assert {assign(config, f"session-{i}").policy for i in range(100)} == {"", "a", "b"}


def test_a_session_keeps_its_policy_in_every_process() -> None:
    program = (
        "from tests.routing.test_experiments import _config, assign;"
        "print([assign(_config(a=0.5), str(i)).policy for i in range(50)])"
    )
    expected = str([assign(_config(a=0.5), str(i)).policy for i in range(50)])
    for seed in ("0", "1"):
        output = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        )
        assert output.stdout.strip() == expected


def test_growing_an_experiment_moves_no_session_out_of_it() -> None:
    for i in range(2000):
        if assign(_config(a=0.2), str(i)).policy == "a":
            assert assign(_config(a=0.4), str(i)).policy == "a"


def test_another_experiment_deals_sessions_anew() -> None:
    first = [assign(_config(a=0.5), str(i)).policy == "a" for i in range(4000)]
    second = [assign(_config(next=0.5), str(i)).policy == "next" for i in range(4000)]
    both = sum(x and y for x, y in zip(first, second, strict=True)) / 4000
    assert both == pytest.approx(0.25, abs=0.03)


def test_all_sessions_can_be_in_an_experiment_and_none_need_be() -> None:
    assert {assign(_config(a=1.0), str(i)).policy for i in range(500)} == {"a"}
    assert assign(_config(), "s") == ("", "")
