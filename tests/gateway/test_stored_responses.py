"""Responses that are stored: OpenAI's SDK asks for them again, and goes on from them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import openai
import pytest

from router_backend.gateway import stored
from router_backend.state.open import open_store
from router_backend.state.store import Store
from tests.gateway.conftest import Running, Serve
from tests.gateway.test_native_apis import RESPONSE, answers, native
from tests.gateway.test_responses import TOOL, sdk
from tests.support.openai_schema import RESPONSES, check_body, check_events
from tests.support.scripted_triton import Refusal, ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream

ITEMS = "/responses/{response_id}/input_items"
STORED: dict[str, Any] = {"responses": {"store": True}}


@pytest.fixture
def store(triton: ScriptedTriton, tmp_path: Path) -> Iterator[Store]:
    triton.store = open_store("sqlite:///state.db", tmp_path)
    yield triton.store
    triton.store.close()


@pytest.fixture
async def gateway(serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, store: Store) -> Running:
    return await serve(upstream, triton=triton, **STORED)


@pytest.fixture
async def client(gateway: Running) -> AsyncIterator[openai.AsyncOpenAI]:
    async with sdk(gateway) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True])
async def test_a_response_is_found_and_removed(client: openai.AsyncOpenAI, stream: bool) -> None:
    if stream:
        async with client.responses.stream(model="auto", input="hi") as events:
            made: Any = await events.get_final_response()
    else:
        made = await client.responses.create(model="auto", input="hi")
    assert (made.store, made.output_text) == (True, "Hello, world")
    found = await client.responses.retrieve(made.id)
    assert (found.output_text, found.output[0].id, found.usage) == (made.output_text, made.output[0].id, made.usage)
    assert (await client.responses.cancel(made.id)).id == made.id  # it has ended
    await client.responses.delete(made.id)
    for call in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError):
            await call(made.id)


async def test_a_conversation_goes_on(client: openai.AsyncOpenAI, upstream: ScriptedUpstream) -> None:
    first = await client.responses.create(model="auto", input="One", instructions="Be brief")
    second = await client.responses.create(
        model="auto", input=[{"role": "user", "content": "Two"}], previous_response_id=first.id
    )
    upstream.script(Script(text=["Three"]))
    async with client.responses.stream(model="auto", input="Three", previous_response_id=second.id) as events:
        third = await events.get_final_response()
    assert third.previous_response_id == second.id
    told = [(message["role"], message["content"]) for message in upstream.requests[-1]["messages"]]
    said = ("assistant", "Hello, world")  # instructions are of one response alone
    assert told == [("user", "One"), said, ("user", "Two"), said, ("user", "Three")]
    listed = [item async for item in client.responses.input_items.list(third.id, order="asc", limit=2)]
    assert [item.content[0].text for item in listed] == ["One", "Hello, world", "Two", "Hello, world", "Three"]  # type: ignore[union-attr]
    latest = await client.responses.input_items.list(third.id, limit=1)
    assert (latest.data[0].content[0].text, latest.has_more) == ("Three", True)  # type: ignore[union-attr]


async def test_a_tools_result_goes_back_by_the_id(gateway: Running, upstream: ScriptedUpstream) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    upstream.script(Script(text=[], delta={"content": None, "tool_calls": [call]}, finish="tool_calls"), Script())
    asked = {"model": "a", "input": "Weather?", "tools": [TOOL]}
    first = (await gateway.http.post("/v1/responses", json=asked)).json()
    result = {"type": "function_call_output", "call_id": "c1", "output": "Rain"}
    body = {"model": "a", "input": [result], "tools": [TOOL], "previous_response_id": first["id"]}
    second = (await gateway.http.post("/v1/responses", json=body)).json()
    check_body(second, RESPONSES)
    assert [message["role"] for message in upstream.requests[-1]["messages"]] == ["user", "assistant", "tool"]
    check_body((await gateway.http.get(f"/v1/responses/{second['id']}")).json(), RESPONSES)
    page = (await gateway.http.get(f"/v1/responses/{second['id']}/input_items")).json()
    check_body(page, ITEMS, "get")
    assert [item["type"] for item in page["data"]] == ["function_call_output", "function_call", "message"]


async def test_what_the_client_does_not_want_stored_is_not(
    client: openai.AsyncOpenAI, upstream: ScriptedUpstream
) -> None:
    first = await client.responses.create(model="auto", input="One")
    second = await client.responses.create(model="auto", input="Two", store=False, previous_response_id=first.id)
    assert (second.store, len(upstream.requests[-1]["messages"])) == (False, 3)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(second.id)
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(model="auto", input="Three", previous_response_id=second.id)
    assert (refused.value.code, refused.value.param) == ("previous_response_not_found", "previous_response_id")


async def test_another_key_finds_nothing(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, store: Store
) -> None:
    keys = [{"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest(), "scopes": ["chat"]} for name in "xy"]
    gateway = await serve(upstream, triton=triton, security={"api_keys": keys}, **STORED)
    mine, others = ({"authorization": f"Bearer {name}"} for name in "xy")
    made = (await gateway.http.post("/v1/responses", json={"model": "a", "input": "hi"}, headers=mine)).json()
    path = f"/v1/responses/{made['id']}"
    for method, end in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")):
        answer = await gateway.http.request(method, path + end, headers=others)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "response_not_found")
    body = {"model": "a", "input": "hi", "previous_response_id": made["id"]}
    assert (await gateway.http.post("/v1/responses", json=body, headers=others)).status_code == 400
    assert (await gateway.http.get(path, headers=mine)).status_code == 200
    assert (await gateway.http.get(path)).status_code == 401


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("problem", ["size", "store"])
async def test_an_answer_that_cannot_be_stored_says_so(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, store: Store, problem: str, stream: bool
) -> None:
    limit = {"max_bytes": 100} if problem == "size" else {}
    gateway = await serve(upstream, triton=triton, responses={"store": True, **limit})
    if problem == "store":
        triton.refuse_feedback = Refusal(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE: the disk is full")
    answer = await gateway.http.post("/v1/responses", json={"model": "a", "input": "hi", "stream": stream})
    last = check_events(answer.text, RESPONSES)[-1]["response"] if stream else answer.json()
    assert (answer.status_code, last["status"], last["store"]) == (200, "completed", False)
    found = await gateway.http.get(f"/v1/responses/{last['id']}")
    assert found.status_code == (404 if problem == "size" else 503)
    page = (await gateway.http.get("/metrics")).text
    cause = "too_large" if problem == "size" else "unavailable"
    assert f'llm_router_responses_not_stored_total{{cause="{cause}"}} 1.0' in page


async def test_a_store_that_takes_too_long_has_not_stored(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_WRITE_SECONDS", 0.2)
    triton.hold_stored = asyncio.Event()
    gateway = await serve(upstream, triton=triton, **STORED)
    answer = await gateway.http.post("/v1/responses", json={"model": "a", "input": "hi"})
    triton.hold_stored.set()
    assert (answer.status_code, answer.json()["store"]) == (200, False)
    page = (await gateway.http.get("/metrics")).text
    assert 'llm_router_responses_not_stored_total{cause="timeout"} 1.0' in page


@pytest.mark.parametrize("stream", [False, True])
async def test_a_native_upstream_stores_nothing_itself(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, store: Store, stream: bool
) -> None:
    upstream.script(answers("responses"))
    gateway = await native(serve, upstream, "responses", triton=triton, **STORED)
    body = {"model": "a", "input": "hi", "stream": stream}
    answer = await gateway.http.post("/v1/responses", json=body)
    last = json.loads(answer.text.rpartition("data: ")[2])["response"] if stream else answer.json()
    assert last["id"] != RESPONSE["id"]
    assert (upstream.requests[0]["store"], last["store"]) == (False, True)
    assert (await gateway.http.get(f"/v1/responses/{last['id']}")).json() == last
    await gateway.http.post("/v1/responses", json={**body, "previous_response_id": last["id"]})
    assert "previous_response_id" not in upstream.requests[1]
    assert [item["role"] for item in upstream.requests[1]["input"]] == ["user", "assistant", "user"]


async def test_nothing_is_stored_where_it_is_off(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, store: Store
) -> None:
    gateway = await serve(upstream, triton=triton)
    made = (await gateway.http.post("/v1/responses", json={"model": "a", "input": "hi"})).json()
    assert made["store"] is False
    answer = await gateway.http.get(f"/v1/responses/{made['id']}")
    assert (answer.status_code, "responses.store" in answer.text) == (404, True)
    assert store.archive().empty()


@pytest.mark.parametrize(
    ("query", "param"), [("limit=0", "limit"), ("limit=x", "limit"), ("order=up", "order"), ("after=none", "after")]
)
async def test_pages_that_there_are_not(client: openai.AsyncOpenAI, gateway: Running, query: str, param: str) -> None:
    made = await client.responses.create(model="auto", input="hi")
    answer = await gateway.http.get(f"/v1/responses/{made.id}/input_items?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert (await gateway.http.get(f"/v1/responses/{made.id}?stream=true")).json()["error"]["param"] == "stream"
