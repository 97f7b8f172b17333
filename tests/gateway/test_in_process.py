"""A gateway that decides and learns in its own process, as it is deployed: no Triton anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml

from router_backend.state.compaction import Reader
from router_backend.state.open import open_store
from tests.state.examples import make_decision, make_feedback, make_outcome
from tests.support.arms import model
from tests.support.running import PROJECT, clean_environment, free_port
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream

ROUTING = {"host": "in_process", "deadline_ms": 10_000}
KEYS = {
    "api_keys": [
        {"name": name, "sha256": digest}
        for name, digest in (
            ("app", "a172cedcae47474b615c54d510a5d84a8dea3032e958587430b413538be3f333"),  # of "app"
            ("other", "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"),  # of "other"
        )
    ]
}


class Gateway:
    """One process after another, with one state folder and one port."""

    def __init__(self, folder: Path, upstream: ScriptedUpstream | None, **sections: Any) -> None:
        """`upstream` is behind both models; None: `sections` has `models`."""
        url = upstream.base_url if upstream else ""
        models = [model(name, url, price={"input": price, "output": price}) for name, price in PRICES]
        config = {"version": 1, "models": models, "default_model": "a", "routing": ROUTING, **sections}
        self._config, self.state_dir, self.port = folder / "router.yaml", folder / "state", free_port()
        self._config.write_text(yaml.safe_dump(config))
        self.url = f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def running(
        self, triton: str = "127.0.0.1:9", kill: bool = False, **environment: str
    ) -> AsyncIterator[httpx.AsyncClient]:
        log = self._config.with_name("gateway.log").open("ab")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "router_backend.gateway", "--config", str(self._config)),
            *("--port", str(self.port), "--triton-url", triton),
            cwd=PROJECT,
            env={**clean_environment(), "LLM_ROUTER_STATE_DIR": str(self.state_dir), **environment},
            stderr=log,
        )
        try:
            async with httpx.AsyncClient(base_url=self.url, timeout=60, trust_env=False) as http:
                async with asyncio.timeout(120):
                    while not await ready(http):
                        assert process.returncode is None, self._config.with_name("gateway.log").read_text()
                        await asyncio.sleep(0.05)
                yield http
        finally:
            log.close()
            process.kill() if kill else process.terminate()
            await asyncio.wait_for(process.wait(), 60)
            assert process.returncode == (-9 if kill else 0)

    def sdk(self, key: str = "none") -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)


PRICES = (("a", 1), ("b", 2))


async def ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/health/ready")).status_code == 200
    except httpx.HTTPError:
        return False


async def means(http: httpx.AsyncClient, prompt: str) -> dict[str, float]:
    reply = await http.post("/v1/route", json={"messages": [{"role": "user", "content": prompt}]})
    found: dict[str, float] = reply.json()["means"]
    return found


async def test_it_answers_streams_learns_and_starts_again_with_what_it_knows(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    gateway = Gateway(tmp_path, upstream)
    asked = [{"role": "user", "content": "Write a Python function that sorts numbers"}]
    async with gateway.running() as http, gateway.sdk() as client:
        upstream.script(Script(text=["Hel", "lo"]))
        whole = await client.chat.completions.with_raw_response.create(model="auto", messages=asked)  # type: ignore[arg-type]
        assert whole.parse().choices[0].message.content == "Hello"
        assert whole.headers["x-router-reason"].startswith(("policy", "explore")), whole.headers
        stream = await client.chat.completions.create(model="auto", messages=asked, stream=True)  # type: ignore[call-overload]
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
        before = await means(http, "Write a Python function that sorts words")
        for _ in range(12):
            answer = await client.chat.completions.with_raw_response.create(model="auto", messages=asked)  # type: ignore[arg-type]
            given = {"decision_id": answer.headers["x-router-decision-id"], "score": 0.0}
            reply = await http.post("/v1/feedback", json=given)
            assert reply.status_code == 200, reply.text
            assert reply.json()["accepted"]
        page = (await http.get("/metrics")).text
        assert "llm_router_decisions_total" in page
        assert 'llm_router_feedback_total{model="' in page
    async with gateway.running() as http:
        async with asyncio.timeout(60):
            while max((after := await means(http, "Write a Python function that sorts words")).values()) > (
                max(before.values()) - 0.05
            ):
                await asyncio.sleep(0.1)
        assert after != before


async def test_ready_tells_how_far_the_slowest_router_is_behind_and_stays_ready(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    gateway = Gateway(tmp_path, upstream)
    with contextlib.closing(open_store("sqlite:///state.db", gateway.state_dir)) as store:
        decisions = [make_decision(number) for number in range(40)]
        store.append(decisions, [make_outcome(decision) for decision in decisions])
        store.add_feedback_many([make_feedback(decision) for decision in decisions])
        store.compaction().follow(Reader("slow", store.log(), 3, ""))
        async with gateway.running() as http:
            for read, behind in ((3, 37), (40, 0)):  # it is looked up every few seconds
                store.compaction().follow(Reader("slow", store.log(), read, ""))
                async with asyncio.timeout(60):
                    while (answer := await http.get("/health/ready")).json()["learning_behind"] != behind:
                        assert answer.status_code == 200
                        await asyncio.sleep(0.1)


async def test_a_key_scores_its_own_answers_alone(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    gateway = Gateway(tmp_path, upstream, security=KEYS)
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
    async with gateway.running() as http:
        headers = {"authorization": "Bearer app"}
        answer = await http.post("/v1/chat/completions", json=body, headers=headers)
        given = {"decision_id": answer.headers["x-router-decision-id"], "score": 1.0}
        others = await http.post("/v1/feedback", json=given, headers={"authorization": "Bearer other"})
        assert others.status_code == 404
        own = await http.post("/v1/feedback", json=given, headers=headers)
        assert own.status_code == 200, own.text
    async with gateway.running() as http:  # which remembers nothing of the answer but what the store says
        others = await http.post("/v1/feedback", json=given, headers={"authorization": "Bearer other"})
        assert others.status_code == 404


async def test_a_changed_file_is_used_without_a_start(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    gateway = Gateway(tmp_path, upstream)
    async with gateway.running() as http:
        config = yaml.safe_load((tmp_path / "router.yaml").read_text())
        config["models"].append(model("c", upstream.base_url))
        (tmp_path / "router.yaml").write_text(yaml.safe_dump(config))
        async with asyncio.timeout(60):
            while "c" not in await means(http, "Hi"):
                await asyncio.sleep(0.05)


async def test_responses_are_stored(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    gateway = Gateway(tmp_path, upstream, responses={"store": True})
    async with gateway.running(), gateway.sdk() as client:
        first = await client.responses.create(model="auto", input="Hi", store=True)
        assert (await client.responses.retrieve(first.id)).output_text == first.output_text


@pytest.mark.parametrize("cause", ["unavailable", "timeout"])
async def test_it_decides_while_triton_does_not(tmp_path: Path, upstream: ScriptedUpstream, cause: str) -> None:
    """The decision is the policy's, and its reason says whose and why; what is reported waits for Triton."""
    routing = {"fallback": "in_process", "deadline_ms": 10_000 if cause == "unavailable" else 2_000}
    gateway = Gateway(tmp_path, upstream, routing=routing)
    triton = ScriptedTriton(["b", "a"], delay=1e6)
    await triton.start()
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
    try:
        async with gateway.running(triton.url if cause == "timeout" else "127.0.0.1:9") as http:
            answer = await http.post("/v1/chat/completions", json=body)
            assert answer.status_code == 200
            kind, _, place = answer.headers["x-router-reason"].partition(":in_process:")
            assert place == cause
            assert kind.startswith(("policy", "explore"))
            page = (await http.get("/metrics")).text
            assert f'llm_router_routing_fallbacks_total{{cause="in_process:{cause}"}}' in page
    finally:
        await triton.stop()


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answers_end_may_wait_for_its_record(tmp_path: Path, upstream: ScriptedUpstream, stream: bool) -> None:
    """As on AWS Lambda, which freezes the process at the answer's last byte: by then another process knows it all."""
    gateway = Gateway(tmp_path, upstream, gateway={"durable_seconds": 30})
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    async with gateway.running() as http:
        for _ in range(5):
            answer = await http.post("/v1/chat/completions", json=body)
            store = open_store("sqlite:///state.db", tmp_path / "state", create=False)
            try:
                decision_id = answer.headers["x-router-decision-id"]
                decision, outcome = store.decision(decision_id), store.outcome(decision_id)
            finally:
                store.close()
            assert decision is not None
            assert outcome is not None
            assert outcome.status == 200
