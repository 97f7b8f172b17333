"""What the forwarder and llm_router_bls send of an answer, with a real engine in front of a scripted upstream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from router_backend.config import runtime
from router_backend.core.decision import RoutedDecision
from router_backend.core.ids import new_decision_id
from router_backend.core.records import Outcome
from tests.support.scripted_upstream import Script, ScriptedUpstream
from tests.triton.conftest import Sender

HALF = b'{"choices": [{"index": 0, "finish_reason": "stop", "%s": {"content": "half \\ud83d"}}]}'


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        yield server


@pytest.fixture
async def answering(deployed: Path, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setenv(runtime.LOCAL_URL, upstream.base_url)
    from router_backend.triton.models.answering import Answering

    answering = Answering()
    yield answering
    await asyncio.to_thread(answering.close)


async def ask(answering: Any, **body: Any) -> Sender:
    """Everything that is sent for a chat request."""
    arm = runtime.runtime_config().default_model
    decision = RoutedDecision(decision_id=new_decision_id(), model=arm, reason="policy:linucb")
    messages = {"messages": [{"role": "user", "content": "Hi"}]}
    sender = Sender()
    work = answering.answer(decision, {**messages, **body}, sender, {}, False)
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, answering.loop))
    return sender


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_comes_with_its_text_and_its_tokens(answering: Any, stream: bool) -> None:
    sender = await ask(answering, stream=stream)
    assert sender.final
    assert not any(response.has_error() for response in sender.responses)
    assert "".join(response.values("text_output")[0] for response in sender.responses) == "Hello, world"
    assert sender.responses[-1].values("num_output_tokens") == [3]


@pytest.mark.parametrize("delay", [0, 0.05], ids=["at once", "chunk by chunk"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_the_final_response_holds_data(
    answering: Any, upstream: ScriptedUpstream, stream: bool, delay: float
) -> None:
    """As TensorRT-LLM's: LlamaIndex's connector asks for no empty final response, and waits for the flag."""
    upstream.script(Script(delay=delay))
    sender = await ask(answering, stream=stream)
    assert sender.last is not None
    assert sender.last is sender.responses[-1]
    assert (sender.last.values("finish_reason"), sender.last.values("num_output_tokens")) == (["stop"], [3])
    assert len(sender.responses) == 1 or stream  # TensorRT-LLM's client keeps the last text of an unstreamed answer


async def test_the_final_response_holds_data_though_no_chunk_ends_the_answer(
    answering: Any, upstream: ScriptedUpstream
) -> None:
    upstream.script(Script(finish=None, usage=None, delay=0.05))
    sender = await ask(answering, stream=True)
    assert sender.last is not None
    assert "".join(response.values("text_output")[0] for response in sender.responses) == "Hello, world"


async def test_tokens_counted_behind_the_last_chunk_come_with_the_final_response(
    answering: Any, upstream: ScriptedUpstream
) -> None:
    upstream.script(Script(delay=0.05))  # each chunk is read alone, the one that counts, too
    sender = await ask(answering, stream=True)
    assert sender.final
    assert sender.responses[-1].values("num_output_tokens") == [3]
    assert "".join(response.values("text_output")[0] for response in sender.responses) == "Hello, world"
    assert [end for response in sender.responses for end in response.values("finish_reason") if end] == ["stop"]


@pytest.mark.parametrize("stream", [False, True])
async def test_lone_surrogates_go_through(answering: Any, upstream: ScriptedUpstream, stream: bool) -> None:
    """Half of a pair is no JSON, but servers that cut a text between tokens send it."""
    upstream.script(Script(frames=[b"data: " + HALF % b"delta" + b"\n\n"], body=HALF % b"message"))
    sender = await ask(answering, stream=stream)
    assert not any(response.has_error() for response in sender.responses)
    assert "".join(response.values("text_output")[0] for response in sender.responses) == "half ?"


async def test_an_answer_that_nobody_gives_ends_with_the_status_in_words(
    answering: Any, upstream: ScriptedUpstream
) -> None:
    upstream.script(Script(status=422, error={"message": "no such field"}))
    sender = await ask(answering)
    (response,) = sender.responses
    assert sender.final
    assert response.error().message().startswith("422: no such field")


async def test_a_reload_leaves_the_price_of_a_running_answer(
    answering: Any, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[Outcome] = []
    monkeypatch.setattr(answering._recorder, "outcome", recorded.append)
    upstream.script(Script(first_delay=1))
    answer = asyncio.create_task(ask(answering))
    await upstream.wait_running()
    config = runtime.runtime_config()
    models = [model.model_copy(update={"name": f"new-{model.name}"}) for model in config.models]
    await asyncio.to_thread(answering._apply, config.model_copy(update={"models": models}))
    await answer
    price = config.model(config.default_model).price
    assert recorded[0].cost == pytest.approx((7 * price.input + 3 * price.output) / 1e6)


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_of_the_wrong_schema_is_noticed(
    answering: Any, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    found: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(
        answering._deployment.implicit, "signal", lambda _, signal: loop.call_soon_threadsafe(found.put_nowait, signal)
    )
    upstream.script(Script(text=["no ", "JSON"]))
    await ask(answering, stream=stream, response_format={"type": "json_object"})
    async with asyncio.timeout(10):
        while (signal := await found.get()) != "invalid_output":
            assert signal == "ended_well"
