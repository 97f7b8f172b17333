"""Triton killed under load: every request is answered, routing comes back, nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.support.configs import local_config
from tests.support.running import RunningSystem


async def ask(http: httpx.AsyncClient) -> httpx.Response:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Say hi"}], "max_tokens": 2}
    return await http.post("/v1/chat/completions", json=body)


@pytest.mark.slow
async def test_requests_succeed_while_triton_is_killed_and_comes_back(
    tmp_path: Path, record_property: pytest.RecordProperty
) -> None:
    system = RunningSystem(tmp_path, config=local_config(tmp_path, routing={"deadline_ms": 200}))
    await asyncio.to_thread(system.start)
    try:
        async with httpx.AsyncClient(base_url=system.gateway, timeout=60, trust_env=False) as http:
            reasons: Counter[str] = Counter()
            stop = asyncio.Event()

            async def load() -> None:
                while not stop.is_set():
                    response = await ask(http)
                    assert response.status_code == 200, response.text
                    reasons[response.headers["x-router-reason"].partition(":")[0]] += 1

            clients = [asyncio.create_task(load()) for _ in range(4)]
            await asyncio.sleep(2)
            assert set(reasons) <= {"policy", "explore"}
            (triton,) = [pid for pid, line in system.pids().items() if line.split(" ")[0].endswith("/tritonserver")]
            os.kill(triton, signal.SIGKILL)
            killed = time.monotonic()
            async with asyncio.timeout(120):
                while not (await ask(http)).headers["x-router-reason"].startswith("fallback:"):
                    await asyncio.sleep(0.01)
                while (await ask(http)).headers["x-router-reason"].startswith("fallback:"):
                    await asyncio.sleep(0.05)
            record_property("recovery_seconds", round(time.monotonic() - killed, 1))
            stop.set()
            await asyncio.gather(*clients)
            assert reasons["fallback"] > 0
            # A decision that the gateway made in the outage can be scored as soon as Triton is back.
            response = await ask(http)
            score = {"decision_id": response.headers["x-router-decision-id"], "score": 1}
            async with asyncio.timeout(30):
                while (given := await http.post("/v1/feedback", json=score)).status_code == 503:
                    await asyncio.sleep(0.2)
            assert given.status_code == 200, given.text
    finally:
        await asyncio.to_thread(system.stop)
