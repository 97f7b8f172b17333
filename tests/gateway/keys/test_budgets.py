"""A key's budget: by day and month, over every gateway of a deployment, through restarts and Triton's outages."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.gateway.conftest import Running, Serve
from tests.gateway.keys.test_auth import key_config
from tests.gateway.test_outcomes import until_reported
from tests.gateway.test_requests import check_error
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream

ANSWER = 13e-6  # USD


def check_spent(response: httpx.Response, period: str) -> None:
    error = check_error(response, 429)
    assert error["code"] == "insufficient_quota"
    assert f"per {period} is spent" in error["message"]
    assert response.headers["x-should-retry"] == "false"
    assert 0 < int(response.headers["retry-after"]) <= 86_400 * (31 if period == "month" else 1)


@pytest.mark.parametrize("period", ["day", "month"])
@pytest.mark.parametrize("stored", [True, False], ids=["stored", "without Triton"])
async def test_a_spent_budget_stops_a_key(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, period: str, stored: bool
) -> None:
    headers, entry = key_config("k", **{f"usd_per_{period}": 1.5 * ANSWER})
    free, free_entry = key_config("free")
    triton_or_none = triton if stored else None
    gateway = await serve(upstream, triton=triton_or_none, security={"api_keys": [entry, free_entry]})
    for _ in range(2):
        assert (await gateway.chat(model="a", headers=headers)).status_code == 200
    if stored:
        await until_reported(gateway)
    check_spent(await gateway.chat(model="a", headers=headers), period)
    assert (await gateway.chat(model="a", headers=free)).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_what_was_spent_outlives_the_gateway(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, stream: bool
) -> None:
    headers, entry = key_config("k", usd_per_day=0.5 * ANSWER)
    security = {"api_keys": [entry]}
    first = await serve(upstream, triton=triton, security=security)
    assert (await first.chat(model="a", headers=headers, stream=stream)).status_code == 200
    await until_reported(first)
    second = await serve(upstream, triton=triton, security=security)
    check_spent(await second.chat(model="a", headers=headers, stream=stream), "day")


async def test_all_gateways_count_together(serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton) -> None:
    headers, entry = key_config("k", usd_per_day=3.5 * ANSWER)
    gateways = [await serve(upstream, triton=triton, security={"api_keys": [entry]}) for _ in range(2)]
    for gateway in (*gateways, *gateways):
        assert (await gateway.chat(model="a", headers=headers)).status_code == 200
        await until_reported(gateway)
    for gateway in gateways:
        async with asyncio.timeout(10):  # one has reported last, the other asks from time to time
            while not is_spent(gateway, 4 * ANSWER):
                await asyncio.sleep(0.02)
        check_spent(await gateway.chat(model="a", headers=headers), "day")


def is_spent(gateway: Running, usd: float) -> bool:
    return all(spent == pytest.approx(usd) for spent in gateway.app.budgets.spent("k"))


async def test_an_outage_of_the_store_loses_and_doubles_nothing(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    headers, entry = key_config("k", usd_per_day=1)
    gateway = await serve(upstream, triton=triton, security={"api_keys": [entry]})
    await gateway.chat(model="a", headers=headers)
    await until_reported(gateway)
    port = triton.port
    await triton.stop()
    for _ in range(2):
        await gateway.chat(model="a", headers=headers)
    assert is_spent(gateway, 3 * ANSWER)
    await triton.start(port)
    await until_reported(gateway)
    assert is_spent(gateway, 3 * ANSWER)
    assert len(triton.outcomes) == 3


async def test_embeddings_and_answers_that_break_off_are_paid_for(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    headers, entry = key_config("k", usd_per_day=1)
    gateway = await serve(upstream, triton=triton, security={"api_keys": [entry]})
    await gateway.http.post("/v1/embeddings", json={"model": "a", "input": "x"}, headers=headers)
    upstream.script(Script(cut_after=3))
    await gateway.chat(model="a", headers=headers, stream=True)
    await until_reported(gateway)
    assert is_spent(gateway, ANSWER + 2 * 2e-6)  # two chunks had come, at 2 USD per million tokens
