"""OpenAI's official Python SDK against the running system; its typed models check our responses strictly."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.support.running import RunningSystem

MODELS = ("nemotron-49b", "llama3-70b", "llama3-8b")


@pytest.fixture
def client(system: RunningSystem) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{system.gateway}/v1", api_key="none", max_retries=0)


def ask(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "auto", "messages": [{"role": "user", "content": text}], "max_tokens": 12, **fields}


def test_a_routed_completion_is_the_sdks_type(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(**ask("Write FizzBuzz in Python"))
    answer = raw.parse()
    ChatCompletion.model_validate(answer.model_dump(), strict=True)
    assert answer.model in MODELS
    assert answer.model == raw.headers["x-router-model"]
    assert raw.headers["x-router-task"] == "code_generation"
    assert raw.headers["x-router-reason"].partition(":")[0] in ("policy", "explore")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.choices[0].finish_reason in ("stop", "length")


def test_a_routed_stream_is_the_sdks_type(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        **ask("What is the capital of Japan?", stream=True, stream_options={"include_usage": True})
    )
    chunks = list(stream)
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk.model_dump(), strict=True)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0
    assert len({(chunk.id, chunk.model, chunk.created) for chunk in chunks}) == 1
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


async def test_the_asynchronous_client_streams(system: RunningSystem) -> None:
    async with openai.AsyncOpenAI(base_url=f"{system.gateway}/v1", api_key="none") as client:
        text = ""
        async for chunk in await client.chat.completions.create(**ask("Say hello", stream=True)):
            text += chunk.choices[0].delta.content or ""
    assert text


def test_named_models_and_the_list_of_them(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["auto", *MODELS]
    assert client.models.retrieve("auto").owned_by == "llm-router"
    answer = client.chat.completions.with_raw_response.create(**ask("Hi", model="llama3-8b"))
    assert answer.parse().model == "llama3-8b"
    assert answer.headers["x-router-reason"] == "named"


def test_errors_are_the_sdks_exceptions(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(**ask("Hi", model="gpt-99"))
    assert missing.value.code == "model_not_found"
    assert missing.value.param == "model"
    assert missing.value.request_id
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**ask("Hi", temperature="hot"))
    assert refused.value.param == "temperature"


def test_a_policy_that_is_not_configured_is_a_bad_request(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="isn't configured"):
        client.chat.completions.create(**ask("Hi", extra_headers={"x-router-policy": "unheard-of"}))


def test_legacy_completions(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="auto", prompt="Once upon a time", max_tokens=8)
    assert answer.choices[0].text
    assert answer.model in MODELS


def test_a_refusal_of_embeddings_comes_through_in_openai_shape(client: openai.OpenAI) -> None:
    """The packaged model's server is started without embeddings; its refusal comes through as OpenAI's error."""
    with pytest.raises(openai.APIStatusError) as refused:
        client.embeddings.create(model="llama3-8b", input="hello", encoding_format="float")
    assert refused.value.body is not None
    assert refused.value.code


@pytest.mark.parametrize("model", ["auto", "llama3-8b"])
def test_feedback_is_taken_right_after_the_answer(system: RunningSystem, client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.with_raw_response.create(**ask("Summarize: the cat sat.", model=model))
    answer.parse()
    body = {"decision_id": answer.headers["x-router-decision-id"], "score": 0.75, "tags": {"by": "test"}}
    response = httpx.post(f"{system.gateway}/v1/feedback", json=body)
    assert response.status_code == 200, response.text
    assert response.json()["accepted"] is True
    assert -1 <= response.json()["reward"] <= 1


def test_feedback_that_can_not_be_is_refused(system: RunningSystem) -> None:
    def give(**body: Any) -> int:
        return httpx.post(f"{system.gateway}/v1/feedback", json=body).status_code

    assert give(decision_id="01890000-0000-7000-8000-000000000000", score=1) == 404
    assert give(decision_id="x", score=2) == 400
    assert give(decision_id="x", score="good") == 400
    assert give(score=1) == 400
    assert give(decision_id="x", score=1, task="cooking") == 400
    assert give(decision_id="x", score=1, extra=1) == 400


def test_a_japanese_conversation_is_routed_turn_by_turn(client: openai.OpenAI) -> None:
    """The named dialogue of the forwarding issue: a task and a model of its own for each turn, the same session."""
    turns = (
        ("Pythonでソートアルゴリズムを実装して", {"code_generation"}, "nemotron-49b"),
        ("このアルゴリズムの計算量を説明して", {"open_qa"}, "llama3-70b"),
        ("もっと簡潔にまとめて", {"rewrite", "summarization"}, "llama3-8b"),
    )
    headers = {"x-router-session": "ja", "x-router-policy": "task-table"}
    messages: list[dict[str, str]] = []
    for turn, tasks, model in turns:
        messages.append({"role": "user", "content": turn})
        body: dict[str, Any] = {"model": "auto", "messages": messages, "max_tokens": 12}
        raw = client.chat.completions.with_raw_response.create(**body, extra_headers=headers)
        messages.append({"role": "assistant", "content": raw.parse().choices[0].message.content or ""})
        assert raw.headers["x-router-task"] in tasks
        assert raw.headers["x-router-model"] == model


@pytest.mark.parametrize(
    ("prompt", "model"),
    [
        ("write fizzbuzz in go", "llama3-8b"),
        ("What is the capital of France?", "llama3-70b"),
        (
            "Design a distributed system for processing payments across regions with exactly-once semantics",
            "nemotron-49b",
        ),
    ],
)
def test_complexity_moves_the_table(client: openai.OpenAI, prompt: str, model: str) -> None:
    body = ask(prompt, extra_headers={"x-router-policy": "task-table"})
    assert client.chat.completions.with_raw_response.create(**body).headers["x-router-model"] == model


def test_readiness_tells_of_route_and_upstreams(system: RunningSystem) -> None:
    ready = httpx.get(f"{system.gateway}/health/ready")
    assert ready.status_code == 200
    assert ready.json()["upstreams"] == dict.fromkeys(MODELS, "closed")


def test_the_decision_endpoint_explains_without_forwarding(system: RunningSystem) -> None:
    body = {"messages": [{"role": "user", "content": "Prove that 2 is prime"}]}
    decision = httpx.post(f"{system.gateway}/v1/route", json=body).json()
    assert set(decision["means"]) == set(MODELS)
    assert decision["answer"] is None
    assert sum(decision["task_probabilities"].values()) == pytest.approx(1, abs=1e-3)
