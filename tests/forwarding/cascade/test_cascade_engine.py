"""A cascade gives the first answer that is good enough, accounts for the others, and never fails for its own sake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest

from router_backend.config.policy import CascadeConfig
from router_backend.core.records import Usage
from router_backend.forwarding.answers import StreamedAnswer
from router_backend.forwarding.cascade.engine import CascadeEngine
from router_backend.forwarding.engine import Engine
from router_backend.forwarding.failure import ForwardError
from router_backend.forwarding.request import ForwardRequest
from tests.support.asking import answer_text, ask, labels, payloads
from tests.support.scripted_upstream import Script, ScriptedUpstream

EngineFor = Callable[..., Engine]
REFUSAL = Script(text=["I'm sorry", ", but no."])
GOOD = Script(text=["The answer", " is 42."])
USAGE = Usage(prompt=7, completion=3)


@pytest.fixture
async def third() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        yield server


def cascade(
    *arms: str, scorer: Any = "heuristic", judge: str | None = None, **fields: Any
) -> tuple[ForwardRequest, CascadeConfig]:
    return ask(*arms, **fields), CascadeConfig(scorer=scorer, judge=judge)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_good_cheap_answer_is_given_and_nobody_else_is_asked(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, stream: bool
) -> None:
    upstream.script(GOOD)
    answer = await CascadeEngine(engine_for(upstream, second)).forward(*cascade("a", "b", stream=stream))
    assert await answer_text(answer) == "The answer is 42."
    assert (answer.progress.arm, answer.progress.discarded) == ("a", ())
    assert answer.progress.latency is not None
    assert second.requests == []


@pytest.mark.parametrize("stream", [False, True])
async def test_a_bad_answer_is_passed_on_and_its_cost_is_kept(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, stream: bool
) -> None:
    upstream.script(REFUSAL)
    second.script(GOOD)
    answer = await CascadeEngine(engine_for(upstream, second)).forward(*cascade("a", "b", stream=stream))
    assert await answer_text(answer) == "The answer is 42."
    progress = answer.progress
    assert (progress.arm, labels(progress.fallbacks)) == ("b", ("a:score 0.10",))
    assert progress.discarded == (("a", USAGE),)
    assert progress.usage == USAGE


@pytest.mark.parametrize("first", [Script(status=500), Script(cut_after=3, delay=0.01)])
async def test_an_arm_that_fails_is_passed_over_even_in_mid_answer(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, first: Script
) -> None:
    upstream.script(first)
    answer = await CascadeEngine(engine_for(upstream, second)).forward(*cascade("a", "b", stream=True))
    assert await answer_text(answer) == "Hello, world"
    assert answer.progress.arm == "b"


async def test_the_best_held_answer_is_given_when_the_last_arm_fails(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, third: ScriptedUpstream
) -> None:
    upstream.script(Script(text=["cut off"], finish="length"))
    second.script(REFUSAL)
    third.script(Script(status=500))
    answer = await CascadeEngine(engine_for(upstream, second, third)).forward(*cascade("a", "b", "c", stream=True))
    assert await answer_text(answer) == "cut off"
    assert answer.progress.discarded == (("b", USAGE),)
    assert labels(answer.progress.fallbacks) == ("b:score 0.10", "c:http_500")


async def test_the_last_answer_is_streamed_as_it_comes(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(REFUSAL)
    second.script(Script(hang_after=3))
    answer = await CascadeEngine(engine_for(upstream, second)).forward(*cascade("a", "b", stream=True))
    assert b"Hello" in await anext(answer.frames())
    await answer.aclose()
    await second.wait_cancelled()


async def test_the_clients_mistake_ends_it(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(status=422))
    with pytest.raises(ForwardError) as error:
        await CascadeEngine(engine_for(upstream, second)).forward(*cascade("a", "b"))
    assert error.value.error.status == 422
    assert second.requests == []


@pytest.mark.parametrize(
    "refusal", [Script(status=501), Script(status=500, error={"message": "image input is not supported"})]
)
async def test_what_one_arm_cannot_do_is_asked_of_the_next(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, refusal: Script
) -> None:
    upstream.script(refusal)
    answer = await CascadeEngine(engine_for(upstream, second)).forward(*cascade("a", "b"))
    assert await answer_text(answer) == "Hello, world"
    assert answer.progress.arm == "b"


async def test_full_queues_are_no_calls_so_the_client_may_come_again(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(hang_after=3))
    second.script(Script(hang_after=3))
    engine = engine_for(upstream, second, arm={"max_concurrency": 1, "max_queue": 0})
    running = [await engine.forward(ask(arm, stream=True)) for arm in ("a", "b")]
    with pytest.raises(ForwardError) as error:
        await CascadeEngine(engine).forward(*cascade("a", "b"))
    assert (error.value.error.status, error.value.tried) == (429, False)
    for answer in running:
        await answer.aclose()


async def test_no_arm_answers(engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream) -> None:
    upstream.script(Script(status=500))
    second.script(Script(status=429, headers={"retry-after": "9"}))
    with pytest.raises(ForwardError) as error:
        await CascadeEngine(engine_for(upstream, second)).forward(*cascade("a", "b"))
    assert (error.value.error.status, error.value.error.retry_after) == (429, 9.0)


@pytest.mark.parametrize("stream", [False, True])
async def test_logprobs_are_asked_for_scored_and_taken_out(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, stream: bool
) -> None:
    def frames(logprob: float) -> Script:
        choice = {"index": 0, "finish_reason": "stop", "logprobs": {"content": [{"token": "x", "logprob": logprob}]}}
        chunk = {"choices": [{**choice, "delta": {"content": "x"}}]}
        body = {"choices": [{**choice, "message": {"content": "x"}}]}
        return Script(frames=[b"data: " + orjson.dumps(chunk) + b"\n\n"], body=orjson.dumps(body))

    engine = CascadeEngine(engine_for(upstream, second, arm={"capabilities": ["logprobs"]}))
    upstream.script(frames(-0.1))
    answer = await engine.forward(*cascade("a", "b", scorer="logprob", stream=stream))
    assert answer.progress.arm == "a"
    assert upstream.requests[0]["logprobs"] is True
    if stream:
        assert (await payloads(answer))[0]["choices"][0]["logprobs"] is None
    upstream.script(frames(-3.0))
    answer = await engine.forward(*cascade("a", "b", scorer="logprob", stream=stream))
    assert answer.progress.arm == "b"
    if isinstance(answer, StreamedAnswer):
        await answer.aclose()


@pytest.mark.parametrize(("verdict", "served"), [("9", "a"), ("2/10", "b"), ("no idea", "a")])
async def test_a_judge_decides_and_costs(
    engine_for: EngineFor,
    upstream: ScriptedUpstream,
    second: ScriptedUpstream,
    third: ScriptedUpstream,
    verdict: str,
    served: str,
) -> None:
    upstream.script(GOOD)
    third.script(Script(text=[verdict]))
    answer = await CascadeEngine(engine_for(upstream, second, third)).forward(
        *cascade("a", "b", scorer="judge", judge="c")
    )
    assert answer.progress.arm == served
    assert ("c", USAGE) in answer.progress.discarded
    assert "The answer is 42." in third.requests[0]["messages"][0]["content"]


async def test_what_was_spent_is_known_when_the_client_leaves_in_the_middle(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, third: ScriptedUpstream
) -> None:
    upstream.script(REFUSAL)
    second.script(Script(hang_after=3))
    request, config = cascade("a", "b", "c", stream=True)
    task = asyncio.create_task(CascadeEngine(engine_for(upstream, second, third)).forward(request, config))
    async with asyncio.timeout(5):
        while not (len(request.discarded) == 2 and second.written):
            await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (refused, paid), (left, _) = request.spent
    assert (refused, paid, left) == ("a", USAGE, "b")


async def test_what_was_spent_is_known_when_nobody_answers(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(cut_after=3, delay=0.01))
    second.script(Script(status=500))
    request, config = cascade("a", "b", stream=True)
    with pytest.raises(ForwardError):
        await CascadeEngine(engine_for(upstream, second)).forward(request, config)
    assert [arm for arm, usage in request.spent if usage.completion] == ["a"]


@pytest.mark.parametrize("stream", [False, True])
async def test_lone_surrogates_in_an_answer_go_through(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, stream: bool
) -> None:
    """Half of a pair is no JSON, but servers that cut a text between tokens send it."""
    text = rb'"content": "half \ud83d"'
    chunk = b'{"choices": [{"index": 0, "finish_reason": "stop", "delta": {' + text + b"}}]}"
    body = b'{"choices": [{"index": 0, "finish_reason": "stop", "message": {' + text + b"}}]}"
    upstream.script(Script(frames=[b"data: " + chunk + b"\n\n"], body=body))
    engine = CascadeEngine(engine_for(upstream, second, arm={"capabilities": ["logprobs"]}))
    answer = await engine.forward(*cascade("a", "b", scorer="logprob", stream=stream))
    assert answer.progress.arm == "a"
    sent = b"".join([piece async for piece in answer.frames()]) if isinstance(answer, StreamedAnswer) else answer.body
    assert rb"half \ud83d" in sent


@pytest.mark.parametrize("choices", [[], ["x"], [{"message": None}], [{"message": {"content": None}, "logprobs": []}]])
async def test_an_answer_without_text_is_passed_on(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, choices: list[Any]
) -> None:
    upstream.script(Script(body=orjson.dumps({"choices": choices})))
    engine = CascadeEngine(engine_for(upstream, second, arm={"capabilities": ["logprobs"]}))
    assert (await engine.forward(*cascade("a", "b", scorer="logprob"))).progress.arm == "b"


async def test_tool_calls_are_not_judged_as_text(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    calls = [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    upstream.script(Script(text=[""], delta={"tool_calls": calls}, finish="tool_calls"))
    answer = await CascadeEngine(engine_for(upstream, second)).forward(*cascade("a", "b", stream=True))
    assert answer.progress.arm == "a"
