"""Two gateways in front of one real store: a rate is of both, and of all keys of a group."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from router_backend.gateway.keys.rates import lease
from router_backend.state.open import open_store
from router_backend.state.store import Store
from tests.gateway.conftest import Running, Serve
from tests.gateway.keys.test_auth import key_config
from tests.gateway.test_requests import check_error
from tests.support.redis_server import RedisServer
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream

SECONDS = 30.0


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        store = open_store("sqlite:///state.db", tmp_path)
        yield store
        store.close()
        return
    server = RedisServer(tmp_path).start()
    store = open_store(f"{server.url}?prefix={{{uuid.uuid4().hex}}}", tmp_path)
    yield store
    store.close()
    server.kill()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not true():
            await asyncio.sleep(0.02)


async def both_know(gateways: list[Running]) -> None:
    await until(lambda: all(gateway.app.rates.gateways == 2 for gateway in gateways))


@pytest.fixture
def shared(triton: ScriptedTriton, store: Store) -> ScriptedTriton:
    triton.store = store
    return triton


async def test_two_gateways_let_through_what_one_would(
    serve: Serve, upstream: ScriptedUpstream, shared: ScriptedTriton
) -> None:
    headers, entry = key_config("k", requests_per_minute=40)
    gateways = [await serve(upstream, triton=shared, security={"api_keys": [entry]}) for _ in range(2)]
    await both_know(gateways)
    loop = asyncio.get_running_loop()
    began, granted = loop.time(), 0
    for _ in range(30):
        answers = await asyncio.gather(
            *(gateway.chat(model="a", headers=headers) for gateway in gateways for _ in range(3))
        )
        granted += [answer.status_code for answer in answers].count(200)
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert check_error(refused, 429)["code"] == "rate_limit_exceeded"
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["x-ratelimit-limit-requests"] == "40"
    allowed = 40 * (1 + (loop.time() - began) / 60)
    assert 40 <= granted <= allowed + 2 * lease(40, 2)


async def test_a_group_is_limited_over_keys_and_gateways(
    serve: Serve, upstream: ScriptedUpstream, shared: ScriptedTriton
) -> None:
    (one, first), (two, second), (free, other) = (
        key_config("one", group="team"),
        key_config("two", group="team"),
        key_config("free"),
    )
    security = {"api_keys": [first, second, other], "groups": [{"name": "team", "requests_per_minute": 2}]}
    gateways = [await serve(upstream, triton=shared, security=security) for _ in range(2)]
    await both_know(gateways)
    for headers, gateway in zip((one, two), gateways, strict=True):
        assert (await gateway.chat(model="a", headers=headers)).status_code == 200
    left = gateways[1].app.rates
    await until(lambda: left.wait("requests group team", 2) > 0)  # the second was told of the first
    error = check_error(await gateways[1].chat(model="a", headers=two), 429)
    assert "of the group 'team'" in error["message"]
    assert (await gateways[1].chat(model="a", headers=free)).status_code == 200


async def test_tokens_are_counted_when_an_answer_ends(
    serve: Serve, upstream: ScriptedUpstream, shared: ScriptedTriton
) -> None:
    headers, entry = key_config("k", tokens_per_minute=10)
    gateways = [await serve(upstream, triton=shared, security={"api_keys": [entry]}) for _ in range(2)]
    await both_know(gateways)
    first = await gateways[0].chat(model="a", headers=headers)
    tokens = first.json()["usage"]["total_tokens"]
    assert tokens >= 10
    refused = await gateways[0].chat(model="a", headers=headers)
    error = check_error(refused, 429)
    assert error["type"] == "tokens"
    assert refused.headers["x-ratelimit-remaining-tokens"] == "0"
    await gateways[1].chat(model="a", headers=headers)  # may be before it hears
    await until(lambda: gateways[1].app.rates.wait("tokens key k", 10) > 0)
    check_error(await gateways[1].chat(model="a", headers=headers), 429)


async def test_a_gateway_that_starts_again_finds_what_was_taken(
    serve: Serve, upstream: ScriptedUpstream, shared: ScriptedTriton
) -> None:
    headers, entry = key_config("k", requests_per_minute=2)
    first = await serve(upstream, triton=shared, security={"api_keys": [entry]})
    await until(lambda: not first.app.rates.away)
    for _ in range(2):
        assert (await first.chat(model="a", headers=headers)).status_code == 200
    await until(lambda: not first.app.rates.untold("requests key k"))
    second = await serve(upstream, triton=shared, security={"api_keys": [entry]})
    await both_know([second])
    await second.chat(model="a", headers=headers)  # on credit
    await until(lambda: second.app.rates.wait("requests key k", 2) > 0)


async def test_metrics_say_that_the_store_is_away(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, tmp_path: Path
) -> None:
    _, entry = key_config("k", requests_per_minute=2)
    gateway = await serve(upstream, triton=triton, security={"api_keys": [entry]})

    async def until_away(value: str) -> None:
        async with asyncio.timeout(SECONDS):
            while f"llm_router_rates_away {value}" not in (await gateway.http.get("/metrics")).text:
                await asyncio.sleep(0.02)

    await until_away("1.0")  # an older Triton doesn't know of rates
    store = open_store("sqlite:///state.db", tmp_path)
    triton.store = store
    await until_away("0.0")
    await gateway.app.settler.settle()
    store.close()


async def test_each_answer_says_what_is_left(serve: Serve, upstream: ScriptedUpstream, shared: ScriptedTriton) -> None:
    """As OpenAI's do: clients slow down before they are refused."""
    headers, entry = key_config("k", requests_per_minute=6000, tokens_per_minute=90, group="team")
    free, other = key_config("free")
    security = {"api_keys": [entry, other], "groups": [{"name": "team", "requests_per_minute": 60}]}
    gateway = await serve(upstream, triton=shared, security=security)
    first = await gateway.chat(model="a", headers=headers)
    assert (first.headers["x-ratelimit-limit-requests"], first.headers["x-ratelimit-remaining-requests"]) == (
        "60",
        "59",
    )
    assert 0 < float(first.headers["x-ratelimit-reset-requests"].removesuffix("ms")) <= 1000
    assert first.headers["x-ratelimit-remaining-tokens"] == "90"
    spent = first.json()["usage"]["total_tokens"]
    left = gateway.app.rates
    await until(lambda: left.left("tokens key k", 90)[0] < 90)
    streamed = await gateway.chat(model="a", headers=headers, stream=True)
    assert streamed.headers["x-ratelimit-limit-tokens"] == "90"
    assert 90 - spent <= int(streamed.headers["x-ratelimit-remaining-tokens"]) < 90
    refused = await gateway.chat(model="nobody", headers=headers)
    assert refused.status_code == 404
    assert refused.headers["x-ratelimit-limit-requests"] == "60"
    assert not any(name.startswith("x-ratelimit") for name in (await gateway.chat(model="a", headers=free)).headers)
