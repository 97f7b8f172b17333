"""Models that are found at a server: listed and named while they are there, never routed to."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from tests.gateway.conftest import Running, Serve
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream

FOUND = ["meta/llama-4", "nvidia/nemotron", "meta/llama 5", "auto", "a"]


def discover(server: ScriptedUpstream, pattern: str = "*", **fields: Any) -> dict[str, Any]:
    upstream = {"kind": "openai", "base_url": server.base_url}
    price = {"input": 3, "output": 4}
    return {"discover": [{"upstream": upstream, "pattern": pattern, "price": price, "seconds": 1, **fields}]}


def offers(server: ScriptedUpstream, *names: str, **fields: Any) -> None:
    server.models = {"object": "list", "data": [{"id": name, "object": "model", **fields} for name in names]}


async def names(gateway: Running) -> list[str]:
    return [model["id"] for model in (await gateway.http.get("/v1/models")).json()["data"]]


async def until(gateway: Running, *expected: str) -> None:
    async with asyncio.timeout(120):
        while await names(gateway) != ["auto", "a", *expected]:
            await asyncio.sleep(0.02)


async def test_models_are_offered_by_pattern(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    offers(second, *FOUND, max_model_len=777)
    gateway = await serve(upstream, triton=triton, **discover(second, "meta/*", capabilities=["tools"]))
    await until(gateway, "meta/llama-4")  # the one with a space has no name that clients could send everywhere
    found = (await gateway.http.get("/v1/models/meta/llama-4")).json()
    assert (found["id"], found["context_length"], found["capabilities"]["tools"]) == ("meta/llama-4", 777, True)
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client:
        assert (await client.models.retrieve("meta/llama-4")).id == "meta/llama-4"
        response = await client.responses.create(model="meta/llama-4", input="hi")
        assert (response.model, response.output_text) == ("meta/llama-4", "Hello, world")
    assert second.requests[0]["model"] == "meta/llama-4"
    for name, status in (("auto", 200), ("nvidia/nemotron", 404)):
        answer = await gateway.chat(model=name)
        assert answer.status_code == status
    assert triton.asked[0]["candidates"] == ["a"]
    async with asyncio.timeout(120):
        while "meta/llama-4" not in [outcome["served"] for outcome in triton.outcomes.values()]:
            await asyncio.sleep(0.01)
    (cost,) = [outcome["cost"] for outcome in triton.outcomes.values() if outcome["served"] == "meta/llama-4"]
    assert cost == pytest.approx((7 * 3 + 3 * 4) / 1e6)


async def test_an_arm_keeps_its_name(serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream) -> None:
    offers(second, *FOUND)
    gateway = await serve(upstream, **discover(second))
    await until(gateway, "meta/llama-4", "nvidia/nemotron")
    assert (await gateway.chat(model="a")).status_code == 200
    assert not second.requests


async def test_models_come_and_go_with_their_server(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    second.models = "no list"
    gateway = await serve(upstream, **discover(second))
    assert await names(gateway) == ["auto", "a"]
    offers(second, "x", "y")
    await until(gateway, "x", "y")
    offers(second, "y")
    await until(gateway, "y")
    assert (await gateway.chat(model="x")).json()["error"]["code"] == "model_not_found"
    second.key = "secret"  # it refuses to say: what was known stays
    offers(second, "z")
    asked = second.listed
    async with asyncio.timeout(120):
        while second.listed < asked + 2:  # the first answer has been read when the second question comes
            await asyncio.sleep(0.02)
    assert (await gateway.chat(model="y")).status_code == 200
    second.key = ""
    await until(gateway, "z")
