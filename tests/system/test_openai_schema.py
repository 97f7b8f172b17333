"""What the running system answers, byte for byte as a client gets it, against OpenAI's published OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.openai_schema import CHAT, COMPLETION, MODEL, MODELS, check_body, check_error, check_stream
from tests.support.running import RunningSystem

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
CHATS: dict[str, dict[str, Any]] = {
    "plain": {},
    "named": {"model": "llama3-8b"},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "several": {"n": 2, "temperature": 1},
    "tools": {"model": "llama3-8b", "tools": [WEATHER], "tool_choice": "required", "max_tokens": 60},
    "json": {"response_format": {"type": "json_object"}},
    "usage": {"stream_options": {"include_usage": True}},
}
COMPLETIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "several": {"n": 2, "temperature": 1},
    "logprobs": {"logprobs": 2},
    "usage": {"stream_options": {"include_usage": True}},
}


@pytest.fixture
async def http(system: RunningSystem) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{system.gateway}/v1", timeout=60, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("fields", CHATS.values(), ids=CHATS)
async def test_chat(http: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    messages = [{"role": "user", "content": "The weather in Paris?"}]
    body = {"model": "auto", "messages": messages, "max_tokens": 8, **fields}
    whole = await http.post(CHAT, json={name: value for name, value in body.items() if name != "stream_options"})
    assert whole.status_code == 200, whole.text
    check_body(whole.json(), CHAT)
    streamed = await http.post(CHAT, json={**body, "stream": True})
    chunks = check_stream(streamed.text, CHAT)
    indices = {choice["index"] for chunk in chunks for choice in chunk["choices"]}
    assert indices == {choice["index"] for choice in whole.json()["choices"]}
    assert ("usage" in chunks[-1]) is ("stream_options" in body)


@pytest.mark.parametrize("fields", COMPLETIONS.values(), ids=COMPLETIONS)
async def test_completions(http: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    body = {"model": "auto", "prompt": "Once upon a time", "max_tokens": 8, **fields}
    whole = await http.post(COMPLETION, json={name: value for name, value in body.items() if name != "stream_options"})
    assert whole.status_code == 200, whole.text
    check_body(whole.json(), COMPLETION)
    streamed = await http.post(COMPLETION, json={**body, "stream": True})
    assert check_stream(streamed.text, COMPLETION)


async def test_models(http: httpx.AsyncClient) -> None:
    listed = (await http.get("/models")).json()
    check_body(listed, MODELS, "get")
    for model in listed["data"]:
        check_body((await http.get(f"/models/{model['id']}")).json(), MODEL, "get")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/models/gpt-99", None),
        ("GET", "/nowhere", None),
        ("DELETE", "/models", None),
        ("POST", CHAT, {"model": "gpt-99", "messages": [{"role": "user", "content": "hi"}]}),
        ("POST", CHAT, {"model": "auto", "messages": []}),
        ("POST", CHAT, {"model": "llama3-8b", "messages": [{"role": "user", "content": "hi"}], "temperature": "hot"}),
        ("POST", CHAT, {"model": "llama3-8b", "messages": [{"role": "user", "content": "hi " * 20_000}]}),
        ("POST", COMPLETION, {"model": "auto"}),
        ("POST", "/embeddings", {"model": "auto", "input": 1}),
    ],
)
async def test_errors(http: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None) -> None:
    answer = await http.request(method, path, json=body)
    assert 400 <= answer.status_code < 500
    check_error(answer.json())
