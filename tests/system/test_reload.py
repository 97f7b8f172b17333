"""A model added to `router.yaml` joins a running system: no restart, no dropped request."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
import yaml

from tests.support.arms import model
from tests.support.configs import local_config
from tests.support.running import RunningSystem
from tests.support.scripted_upstream import Script, ScriptedUpstream

pytestmark = pytest.mark.asyncio(loop_scope="module")
SCALE = 13e-6  # USD of one answer: 7 tokens in at 1 USD a million, 3 out at 2 USD


def policy(price_of_cost: float) -> dict[str, Any]:
    reward = {"name": "difference", "lambda": price_of_cost, "cost_scale_usd": SCALE}
    return {"name": "linucb", "new_share": 0.3, "reward": reward}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        server.script(Script(delay=0.02))
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningSystem]:
    folder = tmp_path_factory.mktemp("reload")
    models = [model("a", upstream.base_url)]
    system = RunningSystem(folder, config=local_config(folder, models=models, default_model="a", policy=policy(0.2)))
    await asyncio.to_thread(system.start)
    yield system
    await asyncio.to_thread(system.stop)


def by_signal(running: RunningSystem) -> None:
    assert running.process is not None
    running.process.send_signal(signal.SIGHUP)


def by_request(running: RunningSystem) -> None:
    reply = httpx.post(f"{running.gateway}/admin/reload")
    assert reply.status_code == 200, reply.text


async def ask(http: httpx.AsyncClient, text: str, streamed: bool = False) -> httpx.Response:
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], "stream": streamed}
    answer = await http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-router-reason"].startswith(("policy", "explore", "only")), answer.headers
    assert not streamed or answer.text.endswith("data: [DONE]\n\n")
    return answer


@pytest.mark.parametrize(
    ("added", "reload", "price_of_cost"), [("b", by_signal, 0.5), ("c", by_request, 0.75)], ids=["SIGHUP", "request"]
)
async def test_an_added_model_joins_and_is_explored(
    running: RunningSystem,
    upstream: ScriptedUpstream,
    added: str,
    reload: Callable[[RunningSystem], None],
    price_of_cost: float,
) -> None:
    assert running.config is not None
    async with httpx.AsyncClient(base_url=running.gateway, timeout=60, trust_env=False) as http:
        seen: dict[str, int] = {}
        numbers = itertools.count()

        async def client(streamed: bool) -> None:
            while added not in seen:
                answer = await ask(http, f"What is {next(numbers)} plus one?", streamed)
                seen[answer.headers["x-router-model"]] = next(numbers)

        clients = [asyncio.create_task(client(streamed)) for streamed in (True, False, True)]
        while len(seen) == 0:
            await asyncio.sleep(0.01)
        config = yaml.safe_load(running.config.read_text())
        config["models"].append(model(added, upstream.base_url))
        config["policy"] = policy(price_of_cost)
        running.config.write_text(yaml.safe_dump(config, sort_keys=False))
        await asyncio.to_thread(reload, running)
        async with asyncio.timeout(60):
            await asyncio.gather(*clients)  # each has ended with an answer of the new model, and none failed

        listed = (await http.get("/v1/models")).json()["data"]
        assert added in [entry["id"] for entry in listed]
        deadline = time.monotonic() + 10  # Triton's models look at the file twice a second
        while True:
            answer = await ask(http, "Hello")
            score = {"decision_id": answer.headers["x-router-decision-id"], "score": 1}
            reply = await http.post("/v1/feedback", json=score)
            assert reply.status_code == 200, reply.text
            if reply.json()["reward"] == pytest.approx(1 - price_of_cost, abs=1e-4):
                break
            assert time.monotonic() < deadline, reply.text
            await asyncio.sleep(0.2)


async def test_a_request_for_an_added_model_alone_is_never_refused(
    running: RunningSystem, upstream: ScriptedUpstream
) -> None:
    """The gateway has read the file at once, the router looks at it twice a second."""
    add(running, upstream, "late")
    await asyncio.to_thread(by_request, running)
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}
    reasons = []
    async with httpx.AsyncClient(base_url=running.gateway, timeout=60, trust_env=False) as http, asyncio.timeout(20):
        while "only_candidate" not in reasons:
            answer = await http.post("/v1/chat/completions", json=body, headers={"x-router-models": "late"})
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-router-model"] == "late"
            reasons.append(answer.headers["x-router-reason"])
    assert set(reasons) <= {"fallback:configuration", "only_candidate"}


@pytest.mark.parametrize("served", ["llm_router", "llm_router_bls"])
async def test_triton_answers_with_an_added_model_as_soon_as_it_routes_to_it(
    running: RunningSystem, upstream: ScriptedUpstream, served: str
) -> None:
    """Routing and forwarding are different processes: either may be the first to read the file."""
    add(running, upstream, f"by-{served}")
    body = {"text_input": "Hello", "max_tokens": 4, "candidates": json.dumps([f"by-{served}"])}
    async with httpx.AsyncClient(base_url=running.triton, timeout=60, trust_env=False) as http, asyncio.timeout(20):
        while True:
            answer = await http.post(f"/v2/models/{served}/generate", json=body)
            if answer.status_code == 200:
                break
            assert "none of the allowed models" in answer.text
            await asyncio.sleep(0.005)
    assert answer.json()["model"] == f"by-{served}"


def add(running: RunningSystem, upstream: ScriptedUpstream, name: str) -> None:
    assert running.config is not None
    config = yaml.safe_load(running.config.read_text())
    config["models"].append(model(name, upstream.base_url))
    running.config.write_text(yaml.safe_dump(config, sort_keys=False))
