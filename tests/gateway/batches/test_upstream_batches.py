"""Lines go to their model's own Batch API. The upstream is a second gateway of ours, which speaks one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from router_backend.gateway.batches import courier
from router_backend.state.store import Store
from tests.gateway.batches.conftest import Far, answered, begun, line, reached, rows
from tests.gateway.batches.test_behind_others import key
from tests.gateway.conftest import Running, Serve
from tests.gateway.test_responses import sdk
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "POLL_SECONDS", (0.02, 0.02))
    monkeypatch.setattr(courier, "PAUSES", (0.05, 0.05))


@pytest.fixture
async def near(
    far: Far, serve: Serve, second: ScriptedUpstream, triton: ScriptedTriton, store: Store, batches: dict[str, Any]
) -> Running:
    """Its model `a` is the far gateway, `b` has no Batch API."""
    return await serve(far.upstream, second, triton=triton, batches=batches, arms={"a": far.arm})


@pytest.fixture
async def client(near: Running) -> AsyncIterator[openai.AsyncOpenAI]:
    async with sdk(near) as client:
        yield client


async def test_lines_go_there_together_at_its_price(
    client: openai.AsyncOpenAI, near: Running, far: Far, triton: ScriptedTriton, second: ScriptedUpstream
) -> None:
    lines = [line(f"line {at}", f"Question {at}") for at in range(30)]
    lines += [line("other", "Other", model="b")]
    batch = await reached(client, (await begun(client, lines)).id)
    assert (batch.status, batch.request_counts.completed, batch.error_file_id) == ("completed", 31, None)
    assert await answered(client, batch) == {each["custom_id"]: 1 for each in lines}
    assert far.texts() == {f"Question {at}": 1 for at in range(30)}
    assert len(second.requests) == 1
    (theirs,) = await far.batches()
    assert theirs.request_counts.total == 30
    found = {row["custom_id"]: row["response"] for row in await rows(client, batch.output_file_id)}
    response = found["line 7"]
    assert (response["body"]["model"], response["router"]["model"]) == ("a", "a")
    assert response["body"]["choices"][0]["message"]["content"] == "Hello, world"
    decision = response["router"]["decision_id"]
    assert (await near.http.get(f"/v1/decisions/{decision}")).json()["answer"]["status"] == 200
    await near.app.outcomes.settled(decision, 60)
    outcome = triton.outcomes[decision]
    assert outcome["cost"] == pytest.approx(0.5 * (7 * 1e-6 + 3 * 2e-6))
    page = (await near.http.get("/metrics")).text
    assert 'llm_router_upstream_batches_total{model="a",status="completed"} 1.0' in page
    async with sdk(far.gateway) as upstream:  # nothing of it stays there
        async with asyncio.timeout(60):
            while [file async for file in upstream.files.list()]:
                await asyncio.sleep(0.02)


async def test_what_fails_there_runs_in_idle_capacity_by_the_same_decision(
    client: openai.AsyncOpenAI, far: Far, triton: ScriptedTriton
) -> None:
    refused = Script(status=400, error={"message": "no", "type": "invalid_request_error"})
    far.upstream.script_by(
        lambda body: refused if body["messages"][-1]["content"] == "bad" and far.texts()["bad"] < 2 else Script()
    )
    batch = await reached(client, (await begun(client, [line("good"), line("bad", "bad")])).id)
    assert (batch.status, batch.request_counts.completed) == ("completed", 2)
    assert far.texts() == {"hi": 1, "bad": 2}
    assert len(triton.asked) == 2


async def test_an_upstream_without_one_costs_no_line(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, store: Store, batches: dict[str, Any]
) -> None:
    gateway = await serve(upstream, triton=triton, batches=batches, arm={"batch": True})
    async with sdk(gateway) as client:
        batch = await reached(client, (await begun(client, [line(str(at)) for at in range(5)])).id)
    assert (batch.status, batch.request_counts.completed) == ("completed", 5)
    assert len(upstream.requests) == len(triton.asked) == 5


async def test_a_line_that_is_late_there_is_fetched_back(
    serve: Serve, far: Far, triton: ScriptedTriton, store: Store, batches: dict[str, Any]
) -> None:
    hang = Script(latency=3600)
    far.upstream.script_by(
        lambda body: hang if body["messages"][-1]["content"] == "slow" and far.texts()["slow"] < 2 else Script()
    )
    arm = far.arm | {"batch": {"wait_hours": 4 / 3600}}
    gateway = await serve(far.upstream, triton=triton, batches=batches, arms={"a": arm})
    async with sdk(gateway) as client:
        lines = [line("quick"), line("slow", "slow")]
        batch = await reached(client, (await begun(client, lines)).id)
        assert (batch.status, batch.request_counts.completed) == ("completed", 2)
        assert await answered(client, batch) == {"quick": 1, "slow": 1}
    (theirs,) = await far.batches()
    assert theirs.status == "cancelled"
    assert far.texts() == {"hi": 1, "slow": 2}


async def test_a_cancellation_is_passed_on(client: openai.AsyncOpenAI, far: Far) -> None:
    hang = Script(latency=3600)
    far.upstream.script_by(lambda body: hang if body["messages"][-1]["content"] == "slow" else Script())
    made = await begun(client, [line("quick"), line("slow", "slow")])
    await far.upstream.wait_running(1, 60)
    async with asyncio.timeout(60):
        while not (theirs := await far.batches()) or not theirs[0].request_counts.completed:
            await asyncio.sleep(0.02)
    await client.batches.cancel(made.id)
    batch = await reached(client, made.id)
    assert batch.status == "cancelled"
    assert [row["custom_id"] for row in await rows(client, batch.output_file_id)] == ["quick"]  # it is paid for
    (error,) = await rows(client, batch.error_file_id)
    assert (error["custom_id"], error["error"]["code"]) == ("slow", "batch_cancelled")
    (theirs,) = await far.batches()
    assert theirs.status == "cancelled"
    await far.upstream.wait_running(0, 60)


async def test_other_apis_lines_go_as_chat(client: openai.AsyncOpenAI, far: Far) -> None:
    made = {"custom_id": "1", "method": "POST", "url": "/v1/responses", "body": {"model": "auto", "input": "hi"}}
    batch = await reached(client, (await begun(client, [made], endpoint="/v1/responses")).id)
    assert batch.status == "completed"
    (theirs,) = await far.batches()
    assert theirs.endpoint == "/v1/chat/completions"
    (row,) = await rows(client, batch.output_file_id)
    assert row["response"]["body"]["output"][0]["content"][0]["text"] == "Hello, world"


async def test_large_batches_go_in_parts(
    serve: Serve, far: Far, triton: ScriptedTriton, store: Store, batches: dict[str, Any]
) -> None:
    gateway = await serve(
        far.upstream, triton=triton, batches=batches, arms={"a": far.arm | {"batch": {"max_lines": 4}}}
    )
    async with sdk(gateway) as client:
        lines = [line(str(at), f"Question {at}") for at in range(10)]
        batch = await reached(client, (await begun(client, lines)).id)
        assert await answered(client, batch) == {each["custom_id"]: 1 for each in lines}
    assert sorted(each.request_counts.total for each in await far.batches()) == [2, 4, 4]


async def test_what_is_away_counts_against_the_budget_of_its_key(
    serve: Serve, far: Far, triton: ScriptedTriton, store: Store, batches: dict[str, Any]
) -> None:
    far.upstream.script(Script(latency=3600))
    security = {"api_keys": [key("x", usd_per_day=0.002)]}
    gateway = await serve(far.upstream, triton=triton, batches=batches, arms={"a": far.arm}, security=security)
    async with sdk(gateway, "x") as client:
        made = await begun(client, [line(str(at), max_tokens=1000, model="a") for at in range(3)])
        await far.upstream.wait_running(3, 60)
        with pytest.raises(openai.RateLimitError) as refused:
            await client.chat.completions.create(model="a", messages=[{"role": "user", "content": "hi"}])
        assert refused.value.code == "insufficient_quota"
        await client.batches.cancel(made.id)
        await reached(client, made.id)
        far.upstream.script(Script())
        await client.chat.completions.create(model="a", messages=[{"role": "user", "content": "hi"}])


async def test_what_is_kept_of_a_part_goes_with_its_batch(client: openai.AsyncOpenAI, far: Far, near: Running) -> None:
    far.upstream.script(Script(latency=3600))
    made = await begun(client, [line("1", model="a")])
    await far.upstream.wait_running(1, 60)
    desk = near.app.batches
    assert desk
    (owner,) = await desk.objects.names("keys")
    folder = f"keys/{owner}/batches/{made.id}/parts"
    part = next(name for name in await desk.objects.names(folder) if name.endswith(".json"))
    kept = json.loads(await desk.objects.get(f"{folder}/{part}") or b"")
    assert (kept["arm"], kept["endpoint"], kept["numbers"]) == ("a", "/v1/chat/completions", [1])
    await client.batches.cancel(made.id)
    await reached(client, made.id)
    async with asyncio.timeout(60):
        while await desk.objects.names(folder):
            await asyncio.sleep(0.01)
