"""What clients of other servers expect: Azure's addresses, lists of models, query strings."""

from __future__ import annotations

import anthropic
import openai
import pytest

from router_backend.gateway.http.paths import plain_path
from tests.gateway.conftest import Serve
from tests.support.openai_schema import INPUT_TOKENS, MODEL, MODELS, check_body
from tests.support.scripted_upstream import ScriptedUpstream


async def test_azures_client(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=gateway.url, api_key="any", api_version="2024-10-21", max_retries=0
    ) as client:
        chat = await client.chat.completions.create(model="a", messages=[{"role": "user", "content": "hi"}])
        assert (chat.model, chat.choices[0].message.content) == ("a", "Hello, world")
        response = await client.responses.create(model="a", input="hi")
        assert response.output_text == "Hello, world"
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="none", messages=[{"role": "user", "content": "hi"}])


async def test_the_deployment_is_the_model_whatever_the_body_says(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    for body in ({}, {"model": "gpt-4o"}):
        answer = await gateway.http.post(
            "/openai/deployments/a/chat/completions?api-version=1",
            json={**body, "messages": [{"role": "user", "content": "hi"}]},
        )
        assert (answer.status_code, answer.headers["x-router-model"]) == (200, "a")


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/openai/deployments/a/chat/completions", ("/v1/chat/completions", "a")),
        ("/openai/deployments/meta/llama/completions", ("/v1/completions", "meta/llama")),
        ("/openai/deployments/a/embeddings", ("/v1/embeddings", "a")),
        ("/openai/v1/responses", ("/v1/responses", "")),
        ("/openai/responses", ("/v1/responses", "")),
        ("/v1/models/a", ("/v1/models/a", "")),
        ("/openai/deployments//embeddings", ("/openai/deployments//embeddings", "")),
        ("/openai/deployments/a/images", ("/openai/deployments/a/images", "")),
        ("/openai/admin/config", ("/openai/admin/config", "")),
    ],
)
def test_addresses(path: str, plain: tuple[str, str]) -> None:
    assert plain_path(path) == plain


async def test_models_say_what_they_can(serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream) -> None:
    gateway = await serve(
        upstream,
        second,
        arms={"a": {"capabilities": ["tools"]}, "b": {"capabilities": ["vision"], "context_window": 99}},
    )
    listed = (await gateway.http.get("/v1/models?limit=1000&beta=true")).json()
    check_body(listed, MODELS, "get")
    said = [
        (each["id"], each["context_length"], [name for name, can in each["capabilities"].items() if can])
        for each in listed["data"]
    ]
    assert said == [("auto", 8192, ["tools", "vision"]), ("a", 8192, ["tools"]), ("b", 99, ["vision"])]
    check_body((await gateway.http.get("/v1/models/b")).json(), MODEL, "get")
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key="any") as client:
        assert [each.id async for each in client.models.list()] == ["auto", "a", "b"]
        assert (await client.models.retrieve("a")).display_name == "a"


async def test_tokens_are_counted_before_they_are_sent(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    parameters = {"type": "object", "properties": {"city": {"type": "string", "description": "word " * 40}}}
    tool = {"type": "function", "name": "weather", "parameters": parameters, "strict": False}
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client:
        short = await client.responses.input_tokens.count(input="Why is the sky blue?")
        long = await client.responses.input_tokens.count(model="a", input="word " * 400)
        tools = await client.responses.input_tokens.count(model="a", input="Why is the sky blue?", tools=[tool])
        check_body(short.model_dump(), INPUT_TOKENS)
        assert 0 < short.input_tokens < 20 < 30 < tools.input_tokens < 200 < 300 < long.input_tokens < 700
        with pytest.raises(openai.BadRequestError):
            await client.responses.input_tokens.count(model="a", input="x", previous_response_id="resp_1")
    messages = [{"role": "user", "content": "Why is the sky blue?"}]
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [*messages, {"role": "assistant", "content": None, "tool_calls": [call]}]
    for body in ({"messages": messages}, {"model": "a", "messages": messages}, {"model": "a", "messages": turns}):
        answer = await gateway.http.post("/v1/chat/completions/input_tokens", json=body)
        assert 0 < answer.json()["input_tokens"] < 60
    refused = await gateway.http.post("/v1/chat/completions/input_tokens", json={"messages": []})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "messages")
    assert not upstream.requests
