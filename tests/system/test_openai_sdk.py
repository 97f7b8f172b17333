"""The OpenAI SDK's higher functions on the running system; plain calls are in test_gateway_sdk.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.support.running import RunningSystem

MODELS = ("nemotron-49b", "llama3-70b", "llama3-8b")
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


class Capital(BaseModel):
    city: str
    population: int


@pytest.fixture
async def client(system: RunningSystem) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{system.gateway}/v1", api_key="none", max_retries=0) as made:
        yield made


def ask(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "auto", "messages": [{"role": "user", "content": text}], "max_tokens": 12, **fields}


async def test_an_answer_is_parsed_into_the_callers_type(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.parse(
        **ask("The capital of France, as JSON.", max_tokens=100, response_format=Capital)
    )
    assert isinstance(answer.choices[0].message.parsed, Capital)


async def test_the_stream_helper_gathers_the_answer(client: openai.AsyncOpenAI) -> None:
    async with client.chat.completions.stream(**ask("Count to ten")) as stream:
        deltas = [event.delta async for event in stream if event.type == "content.delta"]
        answer = stream.current_completion_snapshot  # get_final_completion refuses what max_tokens cut
    assert answer.choices[0].message.content == "".join(deltas) != ""
    assert answer.model in MODELS


async def test_headers_are_there_before_the_stream_is_read(client: openai.AsyncOpenAI) -> None:
    async with client.chat.completions.with_streaming_response.create(**ask("Hello", stream=True)) as response:
        assert response.headers["x-router-model"] in MODELS
        assert response.headers["x-router-decision-id"]
        assert [line async for line in response.iter_lines() if line][-1] == "data: [DONE]"


async def test_several_choices_and_log_probabilities(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(**ask("Say hello", logprobs=True, top_logprobs=2, max_tokens=4))
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert len(logprobs.content[0].top_logprobs) == 2


async def test_tools_are_for_models_that_know_them_and_for_those_that_are_named(client: openai.AsyncOpenAI) -> None:
    """The packaged model knows none and answers in words; calls come back whole in tests/gateway/test_python_sdk.py."""
    asked = ask("The weather in Paris?", tools=[WEATHER])
    with pytest.raises(openai.BadRequestError, match="tools"):
        await client.chat.completions.create(**asked)
    answer = await client.chat.completions.create(**{**asked, "model": "llama3-8b"})
    assert answer.choices[0].message.content


async def test_hints_go_in_headers_or_in_metadata(client: openai.AsyncOpenAI) -> None:
    for hint in ({"extra_headers": {"x-router-models": "llama3-70b"}}, {"metadata": {"router_models": "llama3-70b"}}):
        raw = await client.chat.completions.with_raw_response.create(**ask("Hello", max_tokens=2, **hint))
        assert raw.parse().model == "llama3-70b"
        assert raw.headers["x-router-reason"] == "only_candidate"


async def test_the_async_client_lists_models_and_gets_typed_errors(client: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["auto", *MODELS]
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt-99")
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(model="auto", messages=[])
    assert (refused.value.param, refused.value.type) == ("messages", "invalid_request_error")


async def test_a_session_that_changes_its_model_is_told(client: openai.AsyncOpenAI) -> None:
    switched = []
    for model in ("llama3-8b", "llama3-8b", "llama3-70b"):
        raw = await client.chat.completions.with_raw_response.create(
            **ask("Hi", model=model, max_tokens=1, extra_headers={"x-router-session": "switching"})
        )
        switched.append(raw.headers.get("x-router-switched"))
    assert switched == [None, None, "true"]
