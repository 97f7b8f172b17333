"""Whatever a client sends is forwarded whole or refused in OpenAI's shape; it is never a 5xx."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import httpx
import msgspec
import orjson
import pytest

from router_backend.gateway.routes.batches import CreateBatch
from router_backend.gateway.routes.openapi import EXAMPLES
from router_backend.gateway.routes.playground import FILES
from router_backend.gateway.schemas import Chat, Completion, Embedding, FeedbackBody, Route
from router_backend.gateway.surfaces.messages.schema import Messages
from router_backend.gateway.surfaces.responses.schema import Responses
from tests.gateway.conftest import Serve
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream

MESSAGES = [{"role": "user", "content": "hi"}]


def check_error(response: httpx.Response, status: int) -> dict[str, Any]:
    """The error object of a refusal in OpenAI's shape."""
    assert response.status_code == status, response.text
    error: dict[str, Any] = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["type"]
    assert response.headers["x-request-id"]
    return error


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"model":"a","messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"model":"a","messages":[{"role":"user","content":"\xed\xa0\x80"}]}',
        b'{"model":"a","messages":[{"role":"user","content":"x"}],"temperature":NaN}',
        b'{"model":"a","messages":[{"role":"user","content":"x"}],"temperature":1e999}',
        b'{"model":"a","messages":[{"role":"user","content":"x"}],"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"model":"a","messages":[{"role":"user","content":"x"}],"x":' + b"[" * 300 + b"]" * 300 + b"}",
    ],
)
async def test_what_is_no_json_is_400(serve: Serve, upstream: ScriptedUpstream, raw: bytes) -> None:
    gateway = await serve(upstream)
    check_error(await gateway.http.post("/v1/chat/completions", content=raw), 400)
    assert not upstream.requests


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [1]}, "messages[0]"),
        ({"messages": [{}]}, "messages[0].role"),
        ({"messages": [{"role": 5, "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "system"}, {"role": "user", "content": "x"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [5]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"text": "no type"}]}]}, "messages[0].content[0].type"),
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"n": True}, "n"),
        ({"stop": {"a": 1}}, "stop"),
        ({"tools": "hammer"}, "tools"),
        ({"metadata": {"a": 1}}, "metadata[...]"),
        ({"stream_options": []}, "stream_options"),
    ],
)
async def test_wrong_types_are_400_and_name_the_place(
    serve: Serve, upstream: ScriptedUpstream, change: dict[str, Any], param: str
) -> None:
    gateway = await serve(upstream)
    body = {"model": "a", "messages": MESSAGES, **change}
    error = check_error(await gateway.http.post("/v1/chat/completions", json=body), 400)
    assert error["param"] == param


@pytest.mark.parametrize("missing", ["model", "messages"])
async def test_missing_fields_are_400(serve: Serve, upstream: ScriptedUpstream, missing: str) -> None:
    gateway = await serve(upstream)
    body = {"model": "a", "messages": MESSAGES}
    del body[missing]
    error = check_error(await gateway.http.post("/v1/chat/completions", json=body), 400)
    assert (error["param"], error["code"]) == (missing, "missing_required_parameter")


async def test_bodies_over_the_limit_are_413_and_under_it_go_through(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    check_error(await gateway.chat("x" * 10_000_000, model="a"), 413)
    assert (await gateway.chat("日本" * 200_000, model="a")).status_code == 200
    assert upstream.requests[0]["messages"][0]["content"] == "日本" * 200_000


async def test_a_chunked_body_over_the_limit_is_413(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream, gateway={"max_body_bytes": 1000})

    async def body() -> Any:
        for _ in range(50):
            yield b"x" * 100

    check_error(await gateway.http.post("/v1/chat/completions", content=body()), 413)


async def test_compressed_bodies_are_refused_with_the_reason(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    response = await gateway.http.post(
        "/v1/chat/completions", content=gzip.compress(b"{}"), headers={"content-encoding": "gzip"}
    )
    assert check_error(response, 415)["code"] == "unsupported_encoding"


async def test_a_body_that_does_not_come_is_408(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream, gateway={"body_seconds": 0.1})
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_heads_have_limits(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream, gateway={"header_seconds": 0.2})
    check_error(await gateway.http.get("/health/live", headers={"x-filler": "x" * 40_000}), 431)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n")  # and no more
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_what_is_no_http_is_400_in_openai_shape(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"\x16\x03\x01 nonsense\r\n\r\n")
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert orjson.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "invalid_http"
    writer.close()


async def test_every_field_is_forwarded(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream, arm={"capabilities": ["tools", "json", "logprobs", "vision"]})
    fields: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.9,
        "n": 1,
        "seed": 3,
        "stop": ["a", "b"],
        "max_completion_tokens": 9,
        "logprobs": True,
        "top_logprobs": 2,
        "logit_bias": {"50": -1},
        "presence_penalty": 0.1,
        "frequency_penalty": 0.1,
        "user": "u",
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
        "reasoning_effort": "low",
        "metadata": {"k": "v"},
        "store": False,
        "service_tier": "auto",
        "made_up_by_a_vendor": {"deep": [1, {"x": None}]},
    }
    assert (await gateway.chat(model="a", **fields)).status_code == 200
    sent = upstream.requests[0]
    assert {key: sent[key] for key in fields} == fields


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": ""},
        {"role": "user", "content": []},
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "vendor_part", "x": 1}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://169.254.169.254/secret"}}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "4"},
        {"role": "wizard", "content": "x"},
        {"role": "user", "content": "\u0000\u202e🎉" * 3000},
    ],
)
async def test_messages_of_every_kind_are_forwarded_as_they_are(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, message: dict[str, Any]
) -> None:
    gateway = await serve(upstream, triton=triton, arm={"capabilities": ["tools", "vision"]})
    body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}, message]}
    assert (await gateway.http.post("/v1/chat/completions", json=body)).status_code == 200
    assert upstream.requests[0]["messages"][1] == message


async def test_completions_and_embeddings_pass_through(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    for model in ("a", "auto"):
        response = await gateway.http.post("/v1/completions", json={"model": model, "prompt": "Once", "max_tokens": 3})
        assert response.json()["choices"][0]["text"] == "Hello, world"
        assert response.json()["model"] == "a"
        response = await gateway.http.post("/v1/embeddings", json={"model": model, "input": ["x"]})
        assert response.json()["data"][0]["embedding"] == [0.25, -0.5]
    check_error(await gateway.http.post("/v1/completions", json={"model": "a", "prompt": 5}), 400)
    check_error(await gateway.http.post("/v1/embeddings", json={"model": "a"}), 400)


async def test_urls_and_methods_that_are_not_there(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    for url in ("/v1", "/v2/models", "/v1/chat/completions/", "/admin", "/%00", "/v1/decisions"):
        check_error(await gateway.http.get(url), 404)
    assert check_error(await gateway.http.get("/v1/chat/completions"), 405)
    assert (await gateway.http.delete("/v1/models")).headers["allow"] == "GET"


async def test_models_are_listed_and_found(serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream) -> None:
    gateway = await serve(upstream, second)
    listed = (await gateway.http.get("/v1/models")).json()
    assert [entry["id"] for entry in listed["data"]] == ["auto", "a", "b"]
    for entry in listed["data"]:
        assert (await gateway.http.get(f"/v1/models/{entry['id']}")).json() == entry
    assert check_error(await gateway.http.get("/v1/models/c"), 404)["code"] == "model_not_found"


async def test_request_ids_are_taken_over_when_they_are_plain(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    assert (await gateway.chat(model="a", headers={"x-request-id": "abc-1"})).headers["x-request-id"] == "abc-1"
    odd = await gateway.chat(model="a", headers={"x-request-id": 'a" b'})
    assert odd.headers["x-request-id"] != 'a" b'


async def test_an_upstream_that_sends_garbage_is_502(serve: Serve, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(body=b"<html>"))
    gateway = await serve(upstream)
    check_error(await gateway.chat(model="a"), 502)


@pytest.mark.parametrize("body", [Chat, Completion, Embedding, Messages, Responses, Route, FeedbackBody, CreateBatch])
def test_the_examples_of_the_api_are_bodies_that_it_takes(body: type) -> None:
    assert msgspec.convert(EXAMPLES[body.__name__], body)


async def test_openapi_lists_the_whole_api(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    listed = (await gateway.http.get("/openapi.json")).json()["paths"]
    pages = {*FILES, "/openapi.json"}
    served = {
        (path.replace("*", "{id}"), method.lower())
        for path, methods in gateway.app.routes().items()
        for method in methods
        if path not in pages
    }
    assert {(path, method) for path, operations in listed.items() for method in operations} == served
