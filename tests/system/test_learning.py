"""Feedback changes the next decision, and what was learned outlives every process."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.configs import local_config
from tests.support.running import RunningSystem

CODE = [
    f"Write a {language} function that {work}"
    for language in ("Python", "Rust", "Go")
    for work in ("sorts a list of numbers", "parses a CSV file", "checks whether a string is a palindrome")
]
CHAT = [
    f"{greeting} {rest}"
    for greeting in ("Hi!", "Good morning,", "Hey there,")
    for rest in ("how are you today?", "I had a lovely weekend with my dog.", "tell me about yourself, my friend.")
]
SAME = 0.01
"""Means of the reward this close are the same: the running scale of costs moves them in the fifth decimal."""


def decide(running: RunningSystem, prompt: str) -> dict[str, Any]:
    """A decision without an answer, with each arm's mean reward as the policy sees it."""
    reply = httpx.post(f"{running.triton}/v2/models/route/generate", json={"text_input": prompt}, timeout=30).json()
    return {
        "decision_id": reply["decision_id"],
        "model": reply["model"],
        "means": json.loads(reply["decision"])["means"],
    }


def give(running: RunningSystem, decision_id: str, score: float) -> None:
    reply = httpx.post(f"{running.gateway}/v1/feedback", json={"decision_id": decision_id, "score": score}, timeout=30)
    assert reply.status_code == 200, reply.text


def favourite(running: RunningSystem, prompts: list[str]) -> str:
    chosen = [decide(running, prompt)["model"] for prompt in prompts]
    return max(set(chosen), key=chosen.count)


def teach(running: RunningSystem) -> None:
    """One round: code is answered well by nemotron-49b only, chat by llama3-8b only."""
    for kind, good in ((CODE, "nemotron-49b"), (CHAT, "llama3-8b")):
        for prompt in kind:
            decision = decide(running, prompt)
            give(running, decision["decision_id"], 1.0 if decision["model"] == good else 0.0)


def learned(running: RunningSystem) -> bool:
    return (favourite(running, CODE), favourite(running, CHAT)) == ("nemotron-49b", "llama3-8b")


def means(running: RunningSystem) -> list[float]:
    return [value for prompt in (*CODE, *CHAT) for value in decide(running, prompt)["means"].values()]


def settle(running: RunningSystem) -> list[float]:
    """The means once every score given has taught: a score of a decision without an outcome waits two seconds for one."""
    before = means(running)
    for _ in range(40):
        time.sleep(3)
        after = means(running)
        if after == pytest.approx(before, abs=SAME):
            return after
        before = after
    raise AssertionError("the policy still changes two minutes after the last score")


def teach_until_learned(running: RunningSystem) -> list[float]:
    """What is learned counts once it has settled: scores on their way may still make another arm worth a try."""
    for _ in range(12):
        teach(running)
        settled = settle(running)
        if learned(running):
            return settled
    raise AssertionError("twelve rounds of feedback did not move the choice")


def test_feedback_moves_the_choice_and_outlives_kill_9(tmp_path: Path) -> None:
    policy = {"name": "linucb", "alpha": 0.5, "epsilon": 0.02, "reward": {"name": "difference", "lambda": 0.1}}
    running = RunningSystem(tmp_path, config=local_config(tmp_path, policy=policy)).start()
    try:
        before = favourite(running, CODE)
        assert before != "nemotron-49b"
        taught = teach_until_learned(running)

        for pid, command in running.pids().items():
            if "tritonserver" in command:
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"{running.triton}/v2/health/ready").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert means(running) == pytest.approx(taught, abs=SAME)
        assert learned(running)
    finally:
        running.stop()
