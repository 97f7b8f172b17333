"""`llm-router simulate` on the real system: it learns live what the offline replay learns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.configs import local_config
from tests.support.running import RunningSystem
from tests.system.test_cli import call
from tests.system.test_learning import CHAT, CODE

PROMPTS = 100


def recorded(path: Path) -> Path:
    """Code is answered well by `coder` only, chat by `talker` only; `dear` is right nine times in ten and costs the most."""
    rng = np.random.default_rng(0)
    rows = [(f"{text} ({number})", kind) for number in range(10) for kind in ("code", "chat") for text in _texts(kind)]
    frame = pd.DataFrame(rows, columns=["prompt", "task"]).sample(PROMPTS, random_state=0)
    frame["coder__score"], frame["talker__score"] = frame.task.eq("code") * 1.0, frame.task.eq("chat") * 1.0
    frame["dear__score"] = (rng.random(PROMPTS) < 0.9) * 1.0
    for model, cost in (("talker", 0.001), ("coder", 0.002), ("dear", 0.03)):
        frame[f"{model}__cost"] = cost
    frame.to_csv(path, index=False)
    return path


def _texts(kind: str) -> list[str]:
    return CODE if kind == "code" else CHAT


@pytest.mark.slow
def test_the_live_curve_agrees_with_the_offline_replay(tmp_path: Path) -> None:
    policy = {"name": "linucb", "alpha": 0.3, "epsilon": 0.1, "reward": {"name": "difference", "lambda": 0.3}}
    config = local_config(tmp_path, policy=policy)
    running = RunningSystem(tmp_path, config=config).start()
    try:
        data, out = recorded(tmp_path / "recorded.csv"), tmp_path / "out"
        done = call(
            running, "simulate", str(data), "--config", str(config), "--limit", str(PROMPTS), "--max-tokens", "1", "--out", str(out),
            "--rename", "talker=llama3-8b,coder=nemotron-49b,dear=llama3-70b",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    finally:
        running.stop()
    found = json.loads((out / "simulation.json").read_text())
    assert found["prompts"] == PROMPTS
    assert found["fell_back"] == 0
    low, high = found["offline"]["interval95"]
    # Twice the width: an interval of 95 % would fail one run in twenty.
    assert abs(found["quality"] - found["offline"]["quality"]) <= high - low
    # A fixed choice of the two cheap models gets a half; the router learns who is good at what.
    assert found["quality"] > 0.6
    assert found["saved"] > 0.2
    assert (out / "simulation.png").read_bytes().startswith(b"\x89PNG")
    assert "of the cost saved" in done.stdout


def test_without_a_gateway_it_says_what_to_start(tmp_path: Path) -> None:
    done = call(None, "simulate", str(recorded(tmp_path / "r.csv")), "--url", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "start one with `llm-router up`" in done.stderr
