"""A key's budget in a real system: what was spent is in the store, not in the gateway that was killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import httpx
import pytest

from router_backend.gateway.keys.auth import new_key
from tests.support.configs import local_config
from tests.support.running import RunningSystem, is_gateway

KEY, DIGEST = new_key()
HEADERS = {"authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """Less than one answer's cost a day."""
    folder = tmp_path_factory.mktemp("budgets")
    keys = [{"name": "app", "sha256": DIGEST, "usd_per_day": 1e-9}]
    running = RunningSystem(folder, config=local_config(folder, security={"api_keys": keys})).start()
    yield running
    running.stop()


def gateway_processes(running: RunningSystem) -> set[int]:
    return {pid for pid, command in running.pids().items() if is_gateway(command)}


def test_a_killed_gateway_does_not_forget_what_was_spent(guarded: RunningSystem) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    with httpx.Client(base_url=guarded.gateway, headers=HEADERS, timeout=60, trust_env=False) as http:
        answer = http.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        (before,) = gateway_processes(guarded)
        os.kill(before, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while not gateway_processes(guarded) - {before}:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        while True:
            assert time.monotonic() < deadline
            try:
                refused = http.post("/v1/chat/completions", json=body)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        assert refused.status_code == 429, refused.text
        assert refused.json()["error"]["code"] == "insufficient_quota"
