"""Feedback changes the next decision, and what was learned outlives every process."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import httpx

from tests.support.configs import local_config
from tests.support.running import RunningSystem

MODELS = ("nemotron-49b", "llama3-70b", "llama3-8b")
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


def decide(running: RunningSystem, prompt: str) -> tuple[str, str]:
    """(decision id, chosen model) of a decision without an answer."""
    reply = httpx.post(f"{running.triton}/v2/models/route/generate", json={"text_input": prompt}, timeout=30).json()
    return reply["decision_id"], reply["model"]


def give(running: RunningSystem, decision_id: str, score: float) -> None:
    reply = httpx.post(f"{running.gateway}/v1/feedback", json={"decision_id": decision_id, "score": score}, timeout=30)
    assert reply.status_code == 200, reply.text


def favourite(running: RunningSystem, prompts: list[str]) -> str:
    chosen = [decide(running, prompt)[1] for prompt in prompts]
    return max(set(chosen), key=chosen.count)


def teach(running: RunningSystem) -> None:
    """One round: code is answered well by nemotron-49b only, chat by llama3-8b only."""
    for kind, good in ((CODE, "nemotron-49b"), (CHAT, "llama3-8b")):
        for prompt in kind:
            decision_id, model = decide(running, prompt)
            give(running, decision_id, 1.0 if model == good else 0.0)


def learned(running: RunningSystem) -> bool:
    return (favourite(running, CODE), favourite(running, CHAT)) == ("nemotron-49b", "llama3-8b")


def wait_until_learned(running: RunningSystem, teaching: bool) -> None:
    """A score of a decision without an outcome waits two seconds for one before it teaches, and each arm has to be tried."""
    deadline = time.monotonic() + 120
    while not learned(running):
        assert time.monotonic() < deadline
        if teaching:
            teach(running)
        time.sleep(0.5)


def test_feedback_moves_the_choice_and_outlives_kill_9(tmp_path: Path) -> None:
    policy = {"name": "linucb", "alpha": 0.5, "epsilon": 0.02, "reward": {"name": "difference", "lambda": 0.1}}
    running = RunningSystem(tmp_path, config=local_config(tmp_path, policy=policy)).start()
    try:
        before = favourite(running, CODE)
        assert before != "nemotron-49b"
        wait_until_learned(running, teaching=True)

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
        wait_until_learned(running, teaching=False)
    finally:
        running.stop()
