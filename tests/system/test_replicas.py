"""Two whole systems on one real Redis learn as one, through its outages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio

from router_backend.core.records import Feedback
from router_backend.state.open import open_store
from tests.support.arms import model
from tests.support.configs import local_config
from tests.support.redis_server import RedisServer
from tests.support.running import RunningSystem
from tests.support.scripted_upstream import ScriptedUpstream

PROMPTS = [
    *(f"Write a {language} function that sorts numbers" for language in ("Python", "Rust", "Go", "Kotlin")),
    *(f"{greeting} how are you today?" for greeting in ("Hi!", "Good morning,", "Hey there,", "Hello,")),
]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Replicas:
    """The systems, the store that they share, and what they have acknowledged."""

    systems: tuple[RunningSystem, RunningSystem]
    redis: RedisServer
    http: httpx.AsyncClient
    acknowledged: set[str]

    async def chat(self, at: int, prompt: str) -> httpx.Response:
        body = {"model": "auto", "messages": [{"role": "user", "content": prompt}]}
        return await self.http.post(f"{self.systems[at].gateway}/v1/chat/completions", json=body)

    async def give(self, at: int, decision_id: str, score: float) -> httpx.Response:
        body = {"decision_id": decision_id, "score": score}
        reply = await self.http.post(f"{self.systems[at].gateway}/v1/feedback", json=body)
        if reply.status_code == 200:
            self.acknowledged.add(decision_id)
        return reply

    async def scores(self, at: int) -> np.ndarray[Any, Any]:
        """Of each prompt and model, on one of the systems."""
        rows = []
        for prompt in PROMPTS:
            url = f"{self.systems[at].triton}/v2/models/route/generate"
            reply = (await self.http.post(url, json={"text_input": prompt})).json()
            assert reply["reason"].startswith(("policy", "explore")), reply
            rows.append(reply["scores"])
        return np.array(rows)

    async def both_scores(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        return await self.scores(0), await self.scores(1)

    async def agreed(self) -> np.ndarray[Any, Any]:
        """The scores, once both systems have folded in all that was acknowledged."""
        deadline = time.monotonic() + 30
        while True:
            first, second = await self.both_scores()
            if np.allclose(first, second, atol=1e-5) and self.learned() >= len(self.acknowledged):
                return first
            assert time.monotonic() < deadline, np.abs(first - second).max()
            await asyncio.sleep(0.2)

    def learned(self) -> int:
        store = open_store(self.redis.url, self.systems[0].state_dir)
        try:
            return store.event_count()
        finally:
            store.close()

    def lost(self) -> list[str]:
        """Acknowledged feedback that the store doesn't know: giving it again isn't a duplicate there."""
        store = open_store(self.redis.url, self.systems[0].state_dir)
        try:
            again = [
                store.add_feedback(Feedback(decision_id=each, received=time.time(), score=1))
                for each in self.acknowledged
            ]
            return [each for each, result in zip(self.acknowledged, again, strict=True) if not result.duplicate]
        finally:
            store.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replicas(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replicas]:
    folder = tmp_path_factory.mktemp("replicas")
    redis = RedisServer(folder / "redis").start()
    async with ScriptedUpstream() as upstream, httpx.AsyncClient(timeout=60, trust_env=False) as http:
        models = [model(name, upstream.base_url) for name in ("a", "b")]
        # A given scale of cost: the running one is each process's own, and would move the scores a little.
        policy = {"name": "linucb", "epsilon": 0.02, "reward": {"cost_scale_usd": 13e-6}}
        systems = tuple(
            RunningSystem(
                folder / name,
                config=local_config(folder / name, models=models, default_model="a", policy=policy, state=redis.url),
            )
            for name in ("first", "second")
        )
        assert len(systems) == 2
        try:
            await asyncio.gather(*(asyncio.to_thread(system.start, 300) for system in systems))
            yield Replicas(systems, redis, http, set())
        finally:
            await asyncio.gather(*(asyncio.to_thread(system.stop) for system in systems if system.process))
            redis.resume()
            redis.kill()


async def test_what_one_learns_the_other_knows(replicas: Replicas) -> None:
    before = await replicas.agreed()
    for round_ in range(3):
        for count, prompt in enumerate(PROMPTS):
            at = (round_ + count) % 2
            answer = await replicas.chat(at, prompt)
            assert answer.status_code == 200, answer.text
            good = "a" if "function" in prompt else "b"
            score = float(answer.headers["x-router-model"] == good)
            reply = await replicas.give(1 - at, answer.headers["x-router-decision-id"], score)
            assert reply.status_code == 200, reply.text
    after = await replicas.agreed()
    assert not np.allclose(before, after, atol=1e-2)
    assert replicas.learned() == len(replicas.acknowledged) == 3 * len(PROMPTS)


def partition(redis: RedisServer) -> Callable[[], object]:
    redis.pause()
    return redis.resume


def crash(redis: RedisServer) -> Callable[[], object]:
    redis.kill()
    return redis.start


@pytest.mark.parametrize("outage", [partition, crash])
async def test_routing_goes_on_without_the_store_and_feedback_is_refused(
    replicas: Replicas, outage: Callable[[RedisServer], Callable[[], object]]
) -> None:
    known = await replicas.agreed()
    asked_before = (await replicas.chat(0, "Hello before")).headers["x-router-decision-id"]
    end = outage(replicas.redis)
    try:
        for at in (0, 1):
            assert np.allclose(await replicas.scores(at), known, atol=1e-5)
            answer = await replicas.chat(at, f"Hello without a store, {outage.__name__}")
            assert answer.status_code == 200
            assert answer.headers["x-router-reason"].startswith(("policy", "explore"))
        refused = [await replicas.give(at, asked_before, 1) for at in (0, 1)]
    finally:
        end()
    assert [reply.status_code for reply in refused] == [503, 503], [reply.text for reply in refused]
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)

    # The decision of before, and the one that was made meanwhile: both can be judged now.
    for decision_id in (asked_before, answer.headers["x-router-decision-id"]):
        deadline = time.monotonic() + 60
        while (reply := await replicas.give(0, decision_id, 1)).status_code != 200:
            assert time.monotonic() < deadline, reply.text
            await asyncio.sleep(0.2)
    await replicas.agreed()
    assert replicas.lost() == []
