"""Triton's models and the process itself run the same steps: with one state they decide alike."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from llm_router import Decision, Router
from tests.support.configs import local_config
from tests.support.running import RunningSystem

PROMPTS: list[Any] = [
    "Write a Python function that sorts a list of numbers",
    "Hi, how are you today?",
    "これを英語に翻訳してください。",
    "What is 17 * 23? " * 400,
    "",
    [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": "Summarise this text: the cat sat."},
        {"role": "assistant", "content": "A cat sat."},
        {"role": "user", "content": "Shorter 🙂"},
    ],
]
SAME = 1e-5
"""Two runtimes of one build, one prompt at a time: what differs is the conversion to FP32 between Triton's models."""


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("hosts")
    # The scale of costs is each process's own running mean, unless it is given.
    policy = {
        "name": "linucb",
        "epsilon": 0.0,
        "reward": {"name": "difference", "lambda": 0.2, "cost_scale_usd": 0.0005},
    }
    config = local_config(folder, policy=policy, shadows=[])
    system = RunningSystem(folder, config=config).start()
    with Router.from_config(config, system.state_dir) as router:
        yield system, router
    system.stop()


def of_triton(system: RunningSystem, prompt: Any, **parameters: Any) -> Decision:
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    body = {"messages": json.dumps(messages), "dry_run": True, **parameters}
    reply = httpx.post(f"{system.triton}/v2/models/route/generate", json=body, timeout=60)
    assert reply.status_code == 200, reply.text
    return Decision.from_json(reply.json()["decision"])


def check_alike(system: RunningSystem, router: Router) -> None:
    for prompt in PROMPTS:
        theirs, ours = of_triton(system, prompt), router.decide(prompt, dry_run=True)
        for name in ("model", "task", "ranking", "reason", "policy", "policy_version", "experiment"):
            assert getattr(ours, name) == getattr(theirs, name), (prompt, name)
        for name in ("task_probabilities", "complexity", "scores", "means", "bonuses", "expected_cost", "propensity"):
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name), abs=SAME), (prompt, name)


def test_they_decide_alike_before_anything_is_learned(deployment: tuple[RunningSystem, Router]) -> None:
    check_alike(*deployment)


def test_what_one_is_taught_the_other_knows(deployment: tuple[RunningSystem, Router]) -> None:
    system, router = deployment
    cold = router.decide(PROMPTS[0], dry_run=True).means
    for prompt in PROMPTS[:3]:
        for name in router.config.names:
            decision = router.decide(prompt, candidates=[name])
            router.feedback(decision.decision_id, 0.9 if name == "llama3-70b" else 0.1, cost_usd=0.0001)
            named = of_triton(system, prompt, candidates=json.dumps([name]), dry_run=False)
            given = {"decision_id": named.decision_id, "score": 0.8 if name == "llama3-70b" else 0.2}
            httpx.post(f"{system.gateway}/v1/feedback", json=given, timeout=60).raise_for_status()
    previous: list[dict[str, float]] = []
    while True:  # until both have folded all that settles within seconds
        both = [of_triton(system, PROMPTS[0]).means, router.decide(PROMPTS[0], dry_run=True).means]
        if cold not in both and both == previous and both[0] == pytest.approx(both[1], abs=SAME):
            break
        previous = both
        time.sleep(3)
    check_alike(system, router)


def test_both_refuse_alike(deployment: tuple[RunningSystem, Router]) -> None:
    system, router = deployment
    body = {"messages": json.dumps([{"role": "user", "content": "Hi"}]), "candidates": json.dumps(["nobody"])}
    reply = httpx.post(f"{system.triton}/v2/models/route/generate", json=body, timeout=60)
    with pytest.raises(Exception, match="INVALID_ARGUMENT") as refused:
        router.decide("Hi", candidates=["nobody"])
    assert str(refused.value) in reply.text


def test_the_classifier_is_the_one_that_is_served(deployment: tuple[RunningSystem, Router]) -> None:
    """A folder of versions in the state folder is what both read."""
    system, _ = deployment
    assert Path(system.state_dir / "model_repository" / "classifier").is_dir()
