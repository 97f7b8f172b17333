"""Each process is killed in turn under load: requests go on, the process comes back, nothing acknowledged is lost.

With LLM_ROUTER_CHAOS_REPORT=FILE the recovery times are written as a table.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from router_backend.core.records import Feedback
from router_backend.state.open import open_store
from tests.support.configs import local_config
from tests.support.running import RunningSystem, is_gateway
from tests.support.scripted_upstream import Script, ScriptedUpstream

pytestmark = pytest.mark.slow

CLIENTS = 3
RECOVERY_SECONDS = 120  # a bound for a machine under load; what it took is in the report
PARTS: dict[str, Callable[[str], bool]] = {
    "tritonserver": lambda command: "bin/tritonserver" in command,
    **{
        name: lambda command, name=name: "_stub " in command and f"/{name}/" in command  # type: ignore[misc]
        for name in ("tokenizer", "classifier", "router", "forwarder", "llm_router_bls", "feedback")
    },
    "gateway": is_gateway,
    "local model": lambda command: "launcher.local_model" in command,
}


@dataclass
class Load:
    """Clients that ask, streamed and not, routed and by name, and give feedback to what was answered."""

    running: RunningSystem
    reconnect: bool = False  # try again when there is no gateway
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    interrupted: int = 0  # had started when the part was killed
    acknowledged: set[str] = field(default_factory=set)
    killed_at: float = float("inf")

    async def client(self, number: int) -> None:
        dice = random.Random(number)
        async with httpx.AsyncClient(base_url=self.running.gateway, timeout=60, trust_env=False) as http:
            while True:
                await self.exchange(http, dice)
                await asyncio.sleep(0.2)

    async def exchange(self, http: httpx.AsyncClient, dice: random.Random) -> None:
        body = {
            "model": dice.choice(["auto", "auto", "steady"]),
            "messages": [{"role": "user", "content": f"What is {dice.random()} plus one?"}],
            "max_tokens": 4,
            "stream": dice.random() < 0.5,
        }
        started = time.monotonic()
        try:
            answer = await self.send(http, "/v1/chat/completions", body)
            assert answer.status_code == 200, answer.text
            assert not body["stream"] or answer.text.endswith("data: [DONE]\n\n"), answer.text
        except (httpx.TransportError, AssertionError) as error:
            if started < self.killed_at:
                self.interrupted += 1
            else:
                self.failed.append(f"{time.monotonic() - self.killed_at:.2f} s after the kill, {body}: {error!r}")
            return
        self.answered += 1
        decision_id = answer.headers["x-router-decision-id"]
        try:
            reply = await http.post("/v1/feedback", json={"decision_id": decision_id, "score": 1})
        except httpx.TransportError:
            return
        if reply.status_code == 200:
            self.acknowledged.add(decision_id)

    async def send(self, http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> httpx.Response:
        """What an SDK does: a connection that fails is tried again."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        while True:
            try:
                return await http.post(path, json=body)
            except httpx.TransportError:
                if not self.reconnect or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)

    @asynccontextmanager
    async def under_way(self) -> AsyncIterator[None]:
        clients = [asyncio.create_task(self.client(number)) for number in range(CLIENTS)]
        try:
            await self.until_answered(2 * CLIENTS)
            yield
            await self.until_answered(2 * CLIENTS)
        finally:
            for client in clients:
                client.cancel()
            ended = await asyncio.gather(*clients, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended

    async def until_answered(self, more: int) -> None:
        wanted = self.answered + more
        async with asyncio.timeout(60):
            while self.answered < wanted:
                await asyncio.sleep(0.05)


async def whole(running: RunningSystem) -> bool:
    """Whether every part does its work."""
    prompt = f"Is anybody there at {time.time_ns()}?"  # a new one: not from the classifier's cache
    chat = {"messages": [{"role": "user", "content": prompt}], "max_tokens": 1}
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        try:
            routed = await http.post(f"{running.gateway}/v1/chat/completions", json={"model": "auto", **chat})
            if not routed.headers.get("x-router-reason", "").startswith(("policy", "explore")):
                return False
            score = {"decision_id": routed.headers["x-router-decision-id"], "score": 1}
            asked = {"text_input": prompt, "max_tokens": 1, "candidates": '["steady"]'}
            others = [
                await http.post(f"{running.gateway}/v1/feedback", json=score),
                await http.post(f"{running.gateway}/v1/chat/completions", json={"model": "local", **chat}),
                await http.post(f"{running.triton}/v2/models/llm_router/generate", json=asked),
                await http.post(f"{running.triton}/v2/models/llm_router_bls/generate", json=asked),
            ]
        except httpx.TransportError:
            return False
        return routed.status_code == 200 and all(reply.status_code == 200 for reply in others)


async def until_whole(running: RunningSystem) -> float:
    started = time.monotonic()
    while not await whole(running):
        assert time.monotonic() < started + RECOVERY_SECONDS, "it did not come back"
        await asyncio.sleep(0.1)
    return time.monotonic() - started


def lost(running: RunningSystem, acknowledged: set[str]) -> list[str]:
    """Acknowledged feedback that the store doesn't know: giving it again isn't a duplicate there."""
    store = open_store("sqlite:///state.db", running.state_dir)
    try:
        given = [store.add_feedback(Feedback(decision_id=each, received=time.time(), score=1)) for each in acknowledged]
        return [each for each, result in zip(acknowledged, given, strict=True) if not result.duplicate]
    finally:
        store.close()


@pytest.fixture(scope="module")
def report() -> Iterator[list[str]]:
    rows = [
        "| killed | whole again after, s | answered meanwhile | cut, had started | refused or failed |",
        "|---|---|---|---|---|",
    ]
    yield rows
    if file := os.environ.get("LLM_ROUTER_CHAOS_REPORT"):
        Path(file).write_text("\n".join(rows) + "\n")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        server.script(Script(delay=0.02))
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningSystem]:
    """Two models: `local`, and `steady`, which nobody kills."""
    folder = tmp_path_factory.mktemp("chaos")
    common = {"price": {"input": 1, "output": 2}, "context_window": 8192}
    models = [
        {"name": "local", "upstream": {"kind": "local"}, **common},
        {"name": "steady", "upstream": {"kind": "openai", "base_url": upstream.base_url}, **common},
    ]
    config = local_config(folder, models=models, default_model="steady", policy={"name": "random"})
    made = RunningSystem(folder, config=config)
    await asyncio.to_thread(made.start)
    yield made
    await asyncio.to_thread(made.stop)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("part", PARTS)
async def test_requests_go_on_when_a_process_is_killed(part: str, running: RunningSystem, report: list[str]) -> None:
    await until_whole(running)
    load = Load(running, reconnect=part == "gateway")
    async with load.under_way():
        victims = [pid for pid, command in running.pids().items() if PARTS[part](command)]
        assert victims
        before = load.answered
        load.killed_at = time.monotonic()
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        seconds = await until_whole(running)
        answered = load.answered - before
    report.append(f"| {part} | {seconds:.1f} | {answered} | {load.interrupted} | {len(load.failed)} |")
    assert not load.failed
    assert not set(victims) & set(running.pids())
    assert load.acknowledged
    assert lost(running, load.acknowledged) == []


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("part", ["tritonserver", "router", "gateway"])
async def test_a_frozen_process_is_noticed_as_a_dead_one_is(part: str, running: RunningSystem) -> None:
    """Readiness says it meanwhile, requests go on, and what is frozen is replaced."""
    await until_whole(running)
    load = Load(running, reconnect=part == "gateway")
    victims = [pid for pid, command in running.pids().items() if PARTS[part](command)]
    assert victims
    async with load.under_way():
        load.killed_at = time.monotonic()
        for pid in victims:
            os.kill(pid, signal.SIGSTOP)
        if part != "gateway":
            async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
                assert (await http.get(f"{running.gateway}/health/ready")).status_code == 503
        while set(victims) & set(running.pids()):
            assert time.monotonic() < load.killed_at + RECOVERY_SECONDS, "it was not noticed"
            await asyncio.sleep(0.5)
        await until_whole(running)
    assert not load.failed
    assert lost(running, load.acknowledged) == []
