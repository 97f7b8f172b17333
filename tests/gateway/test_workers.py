"""Several workers behind one port, as processes: together they are one gateway."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from router_backend.gateway.journal import REPORTED
from tests.gateway.keys.test_auth import key_config
from tests.gateway.test_process import GatewayProcess
from tests.support.arms import model
from tests.support.running import descendants
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream

pytestmark = pytest.mark.slow
SECONDS = 120.0  # a frozen process is noticed after some twenty, on a quiet machine
ANSWER = 13e-6  # USD
CONNECTIONS = 16  # that all of them come to the same one of two workers is left to nobody's luck


class Gateway(GatewayProcess):
    """Of several workers. Each request here is on a connection of its own, so that it may come to any of them."""

    http: httpx.AsyncClient

    async def begin(self, triton: ScriptedTriton | None, workers: int = 2, **sections: Any) -> None:
        self.write("a", **{"gateway": {"workers": workers}, **sections})
        where = ("--triton-url", triton.url) if triton else ()
        await self.start(*where, "--journal", str(self.config.parent / "journal"))
        await self.until_serving(workers)

    async def until_serving(self, workers: int, restarts: int = 0) -> None:
        def all_there(page: httpx.Response) -> bool:
            counted = [total(page.text, f"llm_router_{name}", {}) for name in ("workers", "worker_restarts_total")]
            return counted == [workers, restarts]

        await self.until(lambda: self.get("/metrics"), all_there)

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.request("GET", path, **more)

    async def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return await self.http.request(method, f"http://127.0.0.1:{self.port}{path}", **more)

    async def chat(self, model: str = "a", fields: dict[str, Any] | None = None, **more: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **(fields or {})}
        return await self.request("POST", "/v1/chat/completions", json=body, **more)

    async def until(self, ask: Callable[[], Any], done: Callable[[httpx.Response], bool] = lambda _: True) -> None:
        async with asyncio.timeout(SECONDS):
            while True:
                try:
                    if done(await ask()):
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)

    def workers(self) -> list[int]:
        return sorted(pid for pid, command in descendants(self.process.pid).items() if "--worker" in command)

    async def count(self, name: str, **labels: str) -> float:
        return total((await self.get("/metrics")).text, name, labels)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def total(page: str, name: str, labels: dict[str, str]) -> float:
    samples: Iterable[Any] = (
        sample for family in text_string_to_metric_families(page) for sample in family.samples if sample.name == name
    )
    return float(sum(sample.value for sample in samples if labels.items() <= sample.labels.items()))


@pytest.fixture
async def gateway(tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[Gateway]:
    made = Gateway(tmp_path, upstream)
    apart = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=SECONDS, trust_env=False, verify=False, limits=apart) as made.http:
        yield made
    if made.process.returncode is None:
        made.process.terminate()
        await asyncio.wait_for(made.process.communicate(), SECONDS)


async def test_one_page_has_the_sum_of_all_workers_and_a_kill_takes_nothing_from_it(gateway: Gateway) -> None:
    await gateway.begin(None)
    answers = await asyncio.gather(*(gateway.chat() for _ in range(CONNECTIONS)))
    assert {answer.status_code for answer in answers} == {200}
    pages = await asyncio.gather(*(gateway.get("/metrics") for _ in range(CONNECTIONS)))
    assert {total(page.text, "llm_router_requests_total", {"model": "a"}) for page in pages} == {CONNECTIONS}
    assert {total(page.text, "llm_router_workers", {}) for page in pages} == {2}
    assert {total(page.text, "llm_router_in_flight_requests", {}) for page in pages} == {0}
    assert {total(page.text, "llm_router_upstream_state", {"state": "closed"}) for page in pages} == {1}
    os.kill(gateway.workers()[0], signal.SIGKILL)
    await gateway.until_serving(2, restarts=1)
    assert await gateway.count("llm_router_requests_total", model="a") == CONNECTIONS
    for _ in range(CONNECTIONS):
        assert (await gateway.chat()).status_code == 200
    assert await gateway.count("llm_router_requests_total", model="a") == 2 * CONNECTIONS


async def test_ready_when_every_worker_is(gateway: Gateway, triton: ScriptedTriton) -> None:
    await gateway.begin(triton, workers=3)
    await gateway.until(lambda: gateway.get("/health/ready"), lambda answer: answer.status_code == 200)
    assert (await gateway.get("/health/ready")).json()["workers"] == {"ready": 3, "of": 3}
    frozen = gateway.workers()[0]
    os.kill(frozen, signal.SIGSTOP)
    async with asyncio.timeout(SECONDS):  # a connection may come to the frozen one, and waits for its successor
        while (await gateway.get("/health/ready")).status_code == 200 and frozen in gateway.workers():
            await asyncio.sleep(0.05)
        while frozen in gateway.workers():
            await asyncio.sleep(0.05)
    await gateway.until(lambda: gateway.get("/health/ready"), lambda answer: answer.status_code == 200)
    assert await gateway.count("llm_router_worker_restarts_total") == 1


async def test_all_workers_use_a_change_or_none_does(gateway: Gateway) -> None:
    await gateway.begin(None)

    async def models() -> set[int]:
        answers = await asyncio.gather(*(gateway.get("/v1/models/late") for _ in range(CONNECTIONS)))
        return {answer.status_code for answer in answers}

    assert await models() == {404}
    gateway.write("a", "late", gateway={"workers": 2})
    answer = await gateway.request("POST", "/admin/reload")
    assert answer.json() == {"status": "reloaded", "models": ["a", "late"]}
    assert await models() == {200}
    gateway.write("a", default_model="nobody", gateway={"workers": 2})
    answer = await gateway.request("POST", "/admin/reload")
    assert answer.status_code == 409
    assert f"{gateway.config}:" in answer.text
    gateway.write(
        "a",
        models=[
            {
                "name": "a",
                "upstream": {
                    "kind": "openai",
                    "base_url": "http://127.0.0.1:9/v1",
                    "model": "a",
                    "api_key_env": "NOT_SET",
                },
                "price": {"input": 1, "output": 1},
                "context_window": 10,
            }
        ],
        gateway={"workers": 2},
    )
    answer = await gateway.request("POST", "/admin/reload")
    assert answer.status_code == 409, answer.text
    assert "NOT_SET" in answer.text
    assert await models() == {200}
    os.kill(gateway.workers()[0], signal.SIGKILL)  # its successor reads what is in force, not the file
    await gateway.until_serving(2, restarts=1)
    assert await models() == {200}
    gateway.write("a", gateway={"workers": 2})  # and the file is followed
    async with asyncio.timeout(SECONDS):
        while await models() != {404}:
            await asyncio.sleep(0.05)


async def test_a_stop_lets_running_answers_end_in_every_worker(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(latency=2.0))
    await gateway.begin(None)
    running = [asyncio.create_task(gateway.chat()) for _ in range(CONNECTIONS)]
    await upstream.wait_requests(CONNECTIONS, SECONDS)
    workers = gateway.workers()
    gateway.process.terminate()
    assert {answer.status_code for answer in await asyncio.gather(*running)} == {200}
    await asyncio.wait_for(gateway.process.communicate(), SECONDS)
    assert gateway.process.returncode == 0
    assert not any(map(alive, workers))


async def test_workers_end_with_their_parent_and_their_port_is_free(gateway: Gateway) -> None:
    await gateway.begin(None)
    workers = gateway.workers()
    gateway.process.kill()
    await gateway.process.communicate()
    async with asyncio.timeout(SECONDS):
        while any(map(alive, workers)):
            await asyncio.sleep(0.02)
    await gateway.begin(None)
    assert (await gateway.chat()).status_code == 200
    second = Gateway(gateway.config.parent, gateway._upstream)
    second.port = gateway.port
    process = await second.start()
    _, errors = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode == 2
    assert f"127.0.0.1:{gateway.port} can't be used" in errors.decode()


async def test_a_rate_is_of_all_workers_together(gateway: Gateway) -> None:
    headers, key = key_config("k", requests_per_minute=10)
    await gateway.begin(None, security={"api_keys": [key]})
    began, granted = time.monotonic(), 0
    for restarts in range(2):  # a killed worker's tokens are not given out again
        answers = await asyncio.gather(*(gateway.chat(headers=headers) for _ in range(3 * CONNECTIONS)))
        granted += [answer.status_code for answer in answers].count(200)
        os.kill(gateway.workers()[0], signal.SIGKILL)
        await gateway.until_serving(2, restarts + 1)
    assert 10 <= granted <= 10 + (time.monotonic() - began) / 6


async def test_a_decision_is_found_and_scored_by_any_worker_at_once(gateway: Gateway, triton: ScriptedTriton) -> None:
    (owner, first), (other, second) = key_config("owner"), key_config("other")
    triton.hold_reports = asyncio.Event()  # nothing is in the store yet
    await gateway.begin(triton, security={"api_keys": [first, second]})
    decision = (await gateway.chat(headers=owner)).headers["x-router-decision-id"]
    path = f"/v1/decisions/{decision}"
    found = await asyncio.gather(*(gateway.get(path, headers=owner) for _ in range(CONNECTIONS)))
    assert {answer.status_code for answer in found} == {200}
    assert {answer.json()["answer"]["served"] for answer in found} == {"a"}
    refused = await asyncio.gather(*(gateway.get(path, headers=other) for _ in range(CONNECTIONS)))
    assert {answer.status_code for answer in refused} == {404}
    body = {"decision_id": decision, "score": 1}
    costly = {**body, "cost_usd": 0.5}

    async def give(score: dict[str, Any]) -> int:
        return (await gateway.request("POST", "/v1/feedback", json=score, headers=owner)).status_code

    given = asyncio.gather(*(give(costly) for _ in range(CONNECTIONS)), *(give(body) for _ in range(CONNECTIONS)))
    await gateway.get("/health/live")
    triton.hold_reports.set()
    assert await given == [400] * CONNECTIONS + [200] * CONNECTIONS  # whoever answers knows what it has cost


async def test_a_session_stays_with_its_model_in_every_worker(gateway: Gateway, triton: ScriptedTriton) -> None:
    await gateway.begin(triton, workers=3)
    headers = {"x-router-session": "s"}
    assert (await gateway.chat("auto", headers=headers)).status_code == 200
    assert "previous_model" not in triton.asked[-1]
    for _ in range(CONNECTIONS):
        await gateway.chat("auto", headers=headers)
        assert triton.asked[-1]["previous_model"] == "a"
    os.kill(gateway.workers()[0], signal.SIGKILL)
    await gateway.until_serving(3, restarts=1)
    for _ in range(CONNECTIONS):
        await gateway.chat("auto", headers=headers)
        assert triton.asked[-1]["previous_model"] == "a"
    await gateway.chat("auto", headers={"x-router-session": "another"})
    assert "previous_model" not in triton.asked[-1]


async def test_a_budget_is_of_all_workers_and_outlives_a_killed_one(gateway: Gateway) -> None:
    """Triton is away: only the workers know what was spent."""
    headers, key = key_config("k", usd_per_day=9.5 * ANSWER)
    await gateway.begin(None, security={"api_keys": [key]})

    async def admitted() -> int:
        return (await gateway.chat(headers=headers)).status_code

    assert [await admitted() for _ in range(12)] == [200] * 10 + [429] * 2
    for restarts in range(2):
        os.kill(gateway.workers()[restarts], signal.SIGKILL)
        assert {await admitted() for _ in range(CONNECTIONS)} == {429}
        await gateway.until_serving(2, restarts + 1)
        assert {await admitted() for _ in range(CONNECTIONS)} == {429}


async def test_a_killed_worker_loses_no_outcome_of_an_answer_that_was_sent(
    gateway: Gateway, triton: ScriptedTriton
) -> None:
    headers, key = key_config("k", usd_per_day=1.0)
    await gateway.begin(triton, security={"api_keys": [key]})
    sent: list[str] = []
    stop = asyncio.Event()

    async def client() -> None:
        while not stop.is_set():
            with contextlib.suppress(httpx.TransportError):
                answer = await gateway.chat(headers=headers)
                assert answer.status_code == 200
                sent.append(answer.headers["x-router-decision-id"])

    clients = [asyncio.create_task(client()) for _ in range(4)]
    for restarts in range(3):
        enough = len(sent) + 20
        async with asyncio.timeout(SECONDS):
            while len(sent) < enough:
                await asyncio.sleep(0.01)
        os.kill(gateway.workers()[restarts % 2], signal.SIGKILL)
        await gateway.until_serving(2, restarts + 1)
    stop.set()
    await asyncio.gather(*clients)
    async with asyncio.timeout(SECONDS):
        while not triton.outcomes.keys() >= set(sent):
            await asyncio.sleep(0.05)
        while await gateway.count("llm_router_reports_waiting"):
            await asyncio.sleep(0.05)
    journals = [file.read_bytes() for file in (gateway.config.parent / "journal").glob("*.journal")]
    assert all(not journal or journal.endswith(REPORTED + b"\n") for journal in journals)  # nothing waits in them


async def test_an_upstream_never_gets_more_calls_than_it_takes(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    running: list[int] = []

    def slow(_: Any) -> Script:
        running.append(upstream.running + 1)
        return Script(latency=0.05)

    upstream.script_by(slow)
    await gateway.begin(None, workers=3, models=[{**model("a", upstream.base_url), "max_concurrency": 3}])
    answers = await asyncio.gather(*(gateway.chat() for _ in range(3 * CONNECTIONS)))
    assert {answer.status_code for answer in answers} == {200}
    assert max(running) == 3


async def test_a_frozen_parent_is_no_living_gateway(gateway: Gateway) -> None:
    await gateway.begin(None)
    os.kill(gateway.process.pid, signal.SIGSTOP)
    for _ in range(2):
        with pytest.raises(httpx.ReadTimeout):
            await gateway.get("/health/live", timeout=1.0)
    assert (await gateway.chat()).status_code == 200  # requests don't need it
    os.kill(gateway.process.pid, signal.SIGCONT)
    assert (await gateway.get("/health/live")).status_code == 200
