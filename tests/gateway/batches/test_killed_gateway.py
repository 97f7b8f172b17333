"""`kill -9` of a gateway in the middle of a batch: another one goes on, and every line has one answer."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml

from router_backend.state.store import Store
from tests.gateway.batches.conftest import Far, answered, begun, line, reached
from tests.support.arms import model
from tests.support.running import clean_environment, free_port
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream

PROGRAM = """
import sys, typer
from router_backend.gateway.batches import courier, runner, work
runner.LEASE_SECONDS, runner.EVERY_SECONDS, work.KEEP_SECONDS = 5.0, 0.1, 0.05
courier.POLL_SECONDS = (0.05, 0.05)
from router_backend.gateway.__main__ import main
typer.run(main)
"""


class Gateways:
    """Processes of one configuration, on ports of their own."""

    def __init__(self, folder: Path, config: Path, triton: str) -> None:
        self._folder, self._config, self._triton = folder, config, triton
        self.processes: list[subprocess.Popen[bytes]] = []

    def _launch(self, port: int) -> tuple[subprocess.Popen[bytes], Path]:
        environment = {**clean_environment(), "LLM_ROUTER_STATE_DIR": str(self._folder)}
        options = ["--config", str(self._config), "--port", str(port), "--triton-url", self._triton]
        log = self._folder / f"gateway-{port}.log"
        with log.open("wb") as file:
            command = [sys.executable, "-c", PROGRAM, *options]
            process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
        self.processes.append(process)
        return process, log

    async def start(self) -> tuple[subprocess.Popen[bytes], str]:
        port = free_port()
        process, log = self._launch(port)
        url = f"http://127.0.0.1:{port}"
        async with asyncio.timeout(120), httpx.AsyncClient(trust_env=False) as client:
            while True:
                try:
                    if (await client.get(f"{url}/health/live")).status_code == 200:
                        return process, url
                except httpx.TransportError:
                    assert process.poll() is None, f"see {log}"
                    await asyncio.sleep(0.05)


@pytest.fixture
def arm(upstream: ScriptedUpstream) -> dict[str, Any]:
    """The one model."""
    return model("a", upstream.base_url)


@pytest.fixture
async def gateways(
    tmp_path: Path, arm: dict[str, Any], triton: ScriptedTriton, store: Store
) -> AsyncIterator[Gateways]:
    config: dict[str, Any] = {
        "version": 1,
        "models": [arm],
        "default_model": "a",
        "policy": {"name": "random"},
        "gateway": {"workers": 1},
        "batches": {"place": "batches"},
    }
    (tmp_path / "router.yaml").write_text(yaml.safe_dump(config))
    running = Gateways(tmp_path, tmp_path / "router.yaml", triton.url)
    yield running
    for process in running.processes:
        process.kill()
        process.wait()


async def test_another_gateway_goes_on(gateways: Gateways, upstream: ScriptedUpstream) -> None:
    """Three times."""
    upstream.script(Script(latency=0.1))
    running, url = await gateways.start()
    lines = [line(f"line {at}", f"Question {at}") for at in range(150)]
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        made = await begun(client, lines)
    for wanted in (30, 70, 110):
        await upstream.wait_requests(wanted, 120)
        os.kill(running.pid, signal.SIGKILL)
        running, url = await gateways.start()
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        batch = await reached(client, made.id)
        assert (batch.status, batch.request_counts.completed) == ("completed", len(lines))
        assert await answered(client, batch) == {each["custom_id"]: 1 for each in lines}
    # Only what ran at a kill, or was not yet kept, was asked twice.
    asked = [request["messages"][0]["content"] for request in upstream.requests]
    assert set(asked) == {f"Question {at}" for at in range(150)}
    assert len(asked) < 2 * len(lines)


class TestLinesAtAnUpstream:
    """Its Batch API has them, and each is asked there once, whoever is killed."""

    @pytest.fixture
    def arm(self, far: Far) -> dict[str, Any]:
        return model("a", "", **far.arm)

    async def test_another_gateway_finds_them_there(self, gateways: Gateways, far: Far) -> None:
        far.upstream.script(Script(latency=0.2))
        lines = [line(f"line {at}", f"Question {at}") for at in range(60)]
        first, url = await gateways.start()
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
            made = await begun(client, lines)
        for wanted in (1, 20):  # as soon as the upstream works on it, and in its middle
            await far.upstream.wait_requests(wanted, 120)
            os.kill(first.pid, signal.SIGKILL)
            first, url = await gateways.start()
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
            batch = await reached(client, made.id)
            assert (batch.status, batch.request_counts.completed) == ("completed", len(lines))
            assert await answered(client, batch) == {each["custom_id"]: 1 for each in lines}
        assert far.texts() == {f"Question {at}": 1 for at in range(60)}
        assert [each.request_counts.total for each in await far.batches()] == [60]
