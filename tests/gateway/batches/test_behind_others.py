"""Batches are behind everybody: their lines take what nobody else wants, under the limits of their key."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest

from router_backend.gateway.batches import shelves, work
from router_backend.state.store import Store
from tests.gateway.batches.conftest import CHAT, answered, begun, jsonl, line, reached
from tests.gateway.conftest import Serve
from tests.gateway.test_responses import sdk
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream

SLOW = Script(latency=3600)


def by_text(body: Any) -> Script:
    return SLOW if body["messages"][0]["content"] == "slow" else Script()


async def test_half_of_the_places_is_always_free(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, store: Store, batches: dict[str, Any]
) -> None:
    gateway = await serve(upstream, triton=triton, batches=batches, arm={"max_concurrency": 4, "max_queue": 0})
    upstream.script_by(by_text)
    async with sdk(gateway) as client:
        made = await begun(client, [line(str(at), "slow") for at in range(20)])
        await upstream.wait_running(2, 60)
        answers = await asyncio.gather(*(gateway.chat("now") for _ in range(2)))  # a queue would refuse them
        assert [answer.status_code for answer in answers] == [200, 200]
        assert upstream.running == 2
        await client.batches.cancel(made.id)
        await reached(client, made.id)
    assert gateway.app.runtimes.current.engine.spare("a")  # no place is lost


async def test_a_line_waits_while_others_work(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, store: Store, batches: dict[str, Any]
) -> None:
    gateway = await serve(upstream, triton=triton, batches=batches, arm={"max_concurrency": 2})
    upstream.script_by(by_text)
    hurried = asyncio.create_task(gateway.chat("slow"))
    await upstream.wait_running(1, 60)
    async with sdk(gateway) as client:
        made = await begun(client, [line("1")])
        await reached(client, made.id, "in_progress")
        async with asyncio.timeout(60):
            while len(triton.asked) < 2:  # it is decided, and waits
                await asyncio.sleep(0.01)
        await gateway.chat("now")
        assert [request["messages"][0]["content"] for request in upstream.requests] == ["slow", "now"]
        hurried.cancel()
        batch = await reached(client, made.id)
    assert batch.status == "completed"


def key(name: str, **limits: Any) -> dict[str, Any]:
    return {"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest(), "scopes": ["chat"], **limits}


async def test_lines_wait_for_the_budget_of_their_key(
    serve: Serve,
    upstream: ScriptedUpstream,
    triton: ScriptedTriton,
    store: Store,
    batches: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(work, "_LIMITED_PAUSE", 0.05)
    security = {"api_keys": [key("x", usd_per_day=0.00002)]}  # of 0.000013 an answer
    batches["concurrency"] = 1
    gateway = await serve(upstream, triton=triton, batches=batches, security=security)
    async with sdk(gateway, "x") as client:
        lines = [line(str(at)) for at in range(5)]
        made = await begun(client, lines)
        async with asyncio.timeout(60):
            while (await client.batches.retrieve(made.id)).request_counts.completed < 2:
                await asyncio.sleep(0.01)
        assert (await client.batches.cancel(made.id)).status == "cancelling"
        batch = await reached(client, made.id)
        assert (batch.request_counts.completed, len(upstream.requests)) == (2, 2)
        assert await answered(client, batch) == {each["custom_id"]: 1 for each in lines}


async def test_lines_wait_for_the_rate_of_their_key(
    serve: Serve,
    upstream: ScriptedUpstream,
    triton: ScriptedTriton,
    store: Store,
    batches: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A rate costs no attempt and no line: what it holds back runs as soon as it lets it."""
    monkeypatch.setattr(work, "_LIMITED_PAUSE", 0.05)
    monkeypatch.setattr(work, "ATTEMPTS", 1)
    security = {"api_keys": [key("x", requests_per_minute=60)]}  # which are there at once; then one a second
    batches["concurrency"] = 70
    gateway = await serve(upstream, triton=triton, batches=batches, security=security)
    async with sdk(gateway, "x") as client:
        made = await begun(client, [line(str(at)) for at in range(62)])
    desk = gateway.app.batches
    assert desk
    async with asyncio.timeout(60):  # the client's own questions would take of the rate
        while not (found := await desk.register.find(shelves.owner_of("x"), made.id)) or not found.ended:
            await asyncio.sleep(0.01)
    assert (found.status, found.counts.completed, found.counts.failed) == ("completed", 62, 0)
    assert len(upstream.requests) == 62


async def test_lines_of_a_key_that_is_gone(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, store: Store, batches: dict[str, Any]
) -> None:
    gateway = await serve(upstream, triton=triton, batches=batches, security={"api_keys": [key("x")]})
    desk, owner, file_id = gateway.app.batches, shelves.owner_of("gone"), shelves.new_id("file-")
    assert desk
    await desk.objects.put(shelves.content(owner, file_id), jsonl([line("1")]))
    made = await desk.begin("gone", CHAT, file_id, 3600, None)
    async with asyncio.timeout(60):
        while not (found := await desk.register.find(owner, made.id)) or not found.ended:
            await asyncio.sleep(0.01)
    assert (found.status, found.counts.failed, found.has_errors) == ("completed", 1, True)
    row = json.loads(await desk.objects.get(shelves.content(owner, found.error_file_id)) or b"")
    assert (row["response"]["status_code"], row["response"]["body"]["error"]["code"]) == (401, "invalid_api_key")
    assert not upstream.requests
