"""Our client against the running system: every way there gives the same results, and the same errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from llm_router_client import (
    TASKS,
    AsyncRouterClient,
    BadRequestError,
    Hints,
    NotFoundError,
    RouterClient,
    RouterError,
)
from router_backend.state.open import open_store
from tests.support.running import RunningSystem

MODELS = {"nemotron-49b", "llama3-70b", "llama3-8b"}
WAYS = ["gateway", "triton+grpc", "triton+http"]


def address(system: RunningSystem, way: str) -> str:
    return {
        "gateway": system.gateway,
        "triton+grpc": f"triton+grpc://{system.grpc}",
        "triton+http": f"triton+{system.triton}",
    }[way]


@pytest.fixture(params=WAYS)
def url(system: RunningSystem, request: pytest.FixtureRequest) -> str:
    return address(system, request.param)


@pytest.fixture
def client(url: str) -> Iterator[RouterClient]:
    with RouterClient(url, timeout=120) as made:
        yield made


def test_route_knows_everything_about_the_decision(client: RouterClient) -> None:
    decision = client.route("Write a function that reverses a list in Python")
    assert set(decision.ranking) == set(decision.scores) == set(decision.expected_cost) == MODELS
    assert decision.model == decision.ranking[0]
    assert set(decision.task_probabilities) == set(TASKS)
    assert max(decision.task_probabilities, key=decision.task_probabilities.__getitem__) == decision.task
    assert decision.propensity is not None
    assert 0 < decision.propensity <= 1
    assert decision.complexity is not None
    assert 0 <= decision.complexity <= 1


def test_hints_narrow_the_choice(client: RouterClient) -> None:
    decision = client.route("Hello", hints=Hints(models=["llama3-70b"]))
    assert (decision.model, decision.reason) == ("llama3-70b", "only_candidate")


def test_a_dear_model_is_left_out_under_a_cost_limit(client: RouterClient) -> None:
    asked = client.route("Hello there, how are you?")
    costliest = max(asked.expected_cost, key=asked.expected_cost.__getitem__)
    limit = asked.expected_cost[costliest] * 0.9
    assert costliest not in client.route("Hello there, how are you?", hints=Hints(max_cost=limit)).ranking


def test_an_answer_is_scored(client: RouterClient) -> None:
    answer = client.chat([{"role": "user", "content": "Say hello"}], max_tokens=8)
    assert answer.text == answer.message["content"] != ""
    assert answer.usage is not None
    assert 0 < answer.usage.output_tokens <= 8
    assert answer.finish_reason in ("stop", "length")  # the model samples: it may be done earlier
    assert answer.decision.model in MODELS
    reward = client.feedback(answer.decision.decision_id, 1, task="chatbot", tags={"who": "test"})
    assert reward.decision_id == answer.decision.decision_id
    assert 0 < reward.reward <= 1


def test_a_named_model_answers_itself(client: RouterClient) -> None:
    assert client.chat("Hello", model="llama3-70b", max_tokens=2).decision.model == "llama3-70b"


def test_a_stream_knows_its_decision_and_ends_with_the_reason(client: RouterClient) -> None:
    with client.stream("Count to ten", max_tokens=12) as stream:
        assert stream.decision.model in MODELS
        chunks = list(stream)
    assert len(chunks) > 1
    assert "".join(chunk.text for chunk in chunks)
    (reason,) = (chunk.finish_reason for chunk in chunks if chunk.finish_reason)
    assert reason in ("stop", "length")
    assert client.feedback(stream.decision.decision_id, 0.5).reward <= 0.5


def test_streams_of_one_client_run_side_by_side(client: RouterClient) -> None:
    def ask(number: int) -> str:
        return client.stream(f"Tell me about the number {number}", max_tokens=6).text()

    with ThreadPoolExecutor(4) as pool:
        assert all(list(pool.map(ask, range(4))))


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (lambda client: client.feedback("01938c2e-7d5a-7cc3-9f4e-0a1b2c3d4e5f", 1), NotFoundError, "decision"),
        (lambda client: client.feedback("01938c2e-7d5a-7cc3-9f4e-0a1b2c3d4e5f", 2), BadRequestError, "score"),
        (lambda client: client.route([]), BadRequestError, "messages"),
        (lambda client: client.route("x", hints=Hints(policy="nonsense")), BadRequestError, "isn't configured"),
        (lambda client: client.chat("x", hints=Hints(policy="nonsense")), BadRequestError, "isn't configured"),
        (lambda client: client.stream("x", hints=Hints(policy="nonsense")), BadRequestError, "isn't configured"),
        (lambda client: client.stream("x", temperature="warm"), BadRequestError, "temperature"),
    ],
)
def test_mistakes_have_the_same_errors_on_every_way(
    client: RouterClient, call: Callable[[RouterClient], Any], kind: type[RouterError], said: str
) -> None:
    with pytest.raises(kind, match=said) as told:
        call(client)
    assert told.value.status == (404 if kind is NotFoundError else 400)


def test_gateway_errors_carry_what_openais_have(system: RunningSystem) -> None:
    with RouterClient(system.gateway) as client, pytest.raises(NotFoundError) as told:
        client.chat("x", model="no-such-model")
    error = told.value
    assert (error.code, error.type, error.param) == ("model_not_found", "invalid_request_error", "model")
    assert error.request_id


def test_a_session_stays_known_over_triton(system: RunningSystem) -> None:
    with RouterClient(f"triton+grpc://{system.grpc}") as client:
        hints = Hints(session="s", previous_model="llama3-70b", models=["llama3-8b"])
        assert client.route("Go on", hints=hints).switched


@pytest.mark.parametrize("way", ["gateway", "triton+grpc"])
async def test_leaving_a_stream_stops_the_model(system: RunningSystem, way: str) -> None:
    async with AsyncRouterClient(address(system, way)) as client:
        async with await client.stream("Tell me a very long story", max_tokens=2000) as stream:
            await anext(stream)
        assert await status_of(system, stream.decision.decision_id) == 499


@pytest.mark.parametrize("way", ["gateway", "triton+grpc"])
async def test_leaving_a_sync_stream_stops_the_model(system: RunningSystem, way: str) -> None:
    def work() -> str:
        with RouterClient(address(system, way)) as client, client.stream("Tell me a story", max_tokens=2000) as stream:
            next(stream)
            return stream.decision.decision_id

    assert await status_of(system, await asyncio.to_thread(work)) == 499


@pytest.mark.parametrize("way", WAYS)
async def test_async_calls_do_the_same(system: RunningSystem, way: str) -> None:
    async with AsyncRouterClient(address(system, way), timeout=120) as client:
        decision = await client.route("Hello")
        answer, streams = await asyncio.gather(
            client.chat("Say hello", max_tokens=4),
            asyncio.gather(*(client.stream("Count", max_tokens=4) for _ in range(3))),
        )
        texts = await asyncio.gather(*(stream.text() for stream in streams))
        reward = await client.feedback(answer.decision.decision_id, 1)
        with pytest.raises(NotFoundError):
            await client.feedback("01938c2e-7d5a-7cc3-9f4e-0a1b2c3d4e5f", 1)
        with pytest.raises(BadRequestError):
            await client.stream("x", hints=Hints(policy="nonsense"))
    assert decision.model in MODELS
    assert all(texts)
    assert reward.reward > 0


async def status_of(system: RunningSystem, decision_id: str) -> int:
    """HTTP status of a decision's outcome, once it is stored: 499 where the client left and the model was stopped."""
    store = open_store("sqlite:///state.db", system.state_dir)
    try:
        async with asyncio.timeout(30):
            while (outcome := store.outcome(decision_id)) is None:
                await asyncio.sleep(0.02)
        return outcome.status
    finally:
        store.close()
