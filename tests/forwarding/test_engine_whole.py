"""Answers that the client gets whole survive a silent arm as streams do: they come to the router as streams."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from router_backend.core.records import Usage
from router_backend.forwarding.engine import Engine, build_engine
from router_backend.forwarding.failure import ForwardError
from router_backend.forwarding.progress import Expense
from tests.support.arms import model, router_config
from tests.support.asking import answer_text, ask, labels, payloads, text_of
from tests.support.openai_schema import CHAT, check_body
from tests.support.scripted_upstream import Script, ScriptedUpstream

EngineFor = Callable[..., Engine]
FOREVER = float("inf")
LIMITS = {"first_token": 0.2, "idle": 0.2, "total": 20}


@pytest.mark.parametrize(
    ("script", "limit"),
    [
        (Script(latency=FOREVER), "first_token"),
        (Script(first_delay=FOREVER), "first_token"),
        (Script(hang_after=1), "first_token"),
        (Script(hang_after=3), "idle"),
    ],
    ids=["no headers", "headers then silence", "role then silence", "silence in the middle"],
)
async def test_a_silent_arm_costs_a_whole_answer_one_attempts_time(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, script: Script, limit: str
) -> None:
    upstream.script(script)
    answer = await engine_for(upstream, second, timeouts=LIMITS).forward(ask("a", "b"))
    assert await answer_text(answer) == "Hello, world"
    assert labels(answer.progress.fallbacks) == (f"a:timeout_{limit}",)
    await upstream.wait_cancelled()


async def test_content_that_never_ends_leaves_time_for_another_arm(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(text="x" * 5000, delay=0.01))
    answer = await engine_for(upstream, second, timeouts={"first_token": 60, "idle": 60, "total": 6}).forward(
        ask("a", "b")
    )
    assert await answer_text(answer) == "Hello, world"
    assert labels(answer.progress.fallbacks) == ("a:timeout_total",)
    await upstream.wait_cancelled()


async def test_an_arm_that_can_only_answer_whole_leaves_time_for_another(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(latency=FOREVER))
    engine = engine_for(upstream, second, timeouts={"first_token": 60, "idle": 60, "total": 6})
    answer = await engine.forward(ask("a", "b", best_of=2))
    assert await answer_text(answer) == "Hello, world"
    assert labels(answer.progress.fallbacks) == ("a:timeout_total",)


async def test_each_arm_is_told_which_time_it_took(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(text="x" * 5000, delay=0.01))
    second.script(Script(latency=FOREVER))
    with pytest.raises(ForwardError) as failed:
        await engine_for(upstream, second, timeouts={"first_token": 60, "idle": 60, "total": 6}).forward(ask("a", "b"))
    assert labels(failed.value.fallbacks) == ("a:timeout_total", "b:timeout_total")
    assert "a exceeded its part (" in str(failed.value.fallbacks[0].error)


async def test_each_failure_names_its_own_arm(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(latency=FOREVER))
    second.script(Script(status=500))
    with pytest.raises(ForwardError) as failed:
        await engine_for(upstream, second, timeouts=LIMITS, retries={"attempts": 1}).forward(ask("a", "b"))
    assert labels(failed.value.fallbacks) == ("a:timeout_first_token", "b:http_500")
    assert failed.value.error.message.startswith("b")


def frames(*chunks: dict[str, Any]) -> list[bytes]:
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "system_fingerprint": "fp"}
    return [b"data: " + json.dumps({**head, **chunk}).encode() + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]


def part(index: int, delta: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": None, **fields}]}


def token(text: str) -> dict[str, Any]:
    return {"token": text, "logprob": -0.5, "bytes": None, "top_logprobs": []}


async def test_the_chunks_become_the_answer_that_would_have_come_in_one_piece(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    other = {"index": 1, "id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}}
    upstream.script(
        Script(
            frames=frames(
                part(0, {"role": "assistant", "content": ""}),
                part(1, {"role": "assistant", "content": None, "tool_calls": [call]}),
                part(0, {"reasoning_content": "h"}),
                part(0, {"reasoning_content": "m"}),
                part(0, {"content": "He"}, logprobs={"content": [token("He")], "refusal": None}),
                part(1, {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]}),
                part(0, {"content": "llo"}, logprobs={"content": [token("llo")], "refusal": None}),
                part(1, {"tool_calls": [other, {"index": 0, "function": {"arguments": ' "Rome"}'}}]}),
                part(2, {"role": "assistant", "refusal": "I "}),
                part(2, {"refusal": "can't"}),
                part(0, {}, finish_reason="stop", stop_reason=7),
                part(1, {}, finish_reason="tool_calls"),
                part(2, {}, finish_reason="stop"),
                {"choices": [], "usage": usage},
            )
        )
    )
    answer = await engine_for(upstream, second).forward(ask("a", "b", n=3))
    body = orjson.loads(answer.body)  # type: ignore[union-attr]
    check_body(body, CHAT)
    assert (body["object"], body["model"], body["usage"], body["id"]) == ("chat.completion", "a", usage, "x")
    first, calls, refused = body["choices"]
    assert first["message"] == {"role": "assistant", "content": "Hello", "refusal": None, "reasoning_content": "hm"}
    assert [each["token"] for each in first["logprobs"]["content"]] == ["He", "llo"]
    assert (first["finish_reason"], first["stop_reason"], calls["finish_reason"]) == ("stop", 7, "tool_calls")
    assert calls["message"]["content"] is None
    assert [(each["id"], each["function"]) for each in calls["message"]["tool_calls"]] == [
        ("call_1", {"name": "weather", "arguments": '{"city": "Rome"}'}),
        ("call_2", {"name": "time", "arguments": "{}"}),
    ]
    assert refused["message"]["refusal"] == "I can't"
    assert (answer.progress.usage, answer.progress.usage_known) == (Usage(prompt=7, completion=9), True)
    assert upstream.requests[0]["stream_options"] == {"include_usage": True}


async def test_text_completions_are_put_together_too(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    answer = await engine_for(upstream, second).forward(ask("a", "b", endpoint="completions", prompt="x"))
    body = orjson.loads(answer.body)  # type: ignore[union-attr]
    assert (body["object"], body["choices"][0]["text"]) == ("text_completion", "Hello, world")
    assert upstream.requests[0]["stream"] is True


async def test_a_named_model_and_a_last_arm_answer_whole(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    """Nobody could answer in their place, so slowness is no reason to give up."""
    engine = engine_for(upstream)
    await engine.forward(ask("a", named=True))
    await engine.forward(ask("a"))
    assert [request.get("stream") for request in upstream.requests] == [None, None]


@pytest.mark.parametrize(("stream", "field"), [(False, "stream_options"), (True, "stream_options"), (False, "stream")])
@pytest.mark.parametrize("status", [400, 422])
async def test_a_server_that_refuses_what_we_added_is_asked_once_again_without_it(
    engine_for: EngineFor,
    upstream: ScriptedUpstream,
    second: ScriptedUpstream,
    stream: bool,
    field: str,
    status: int,
) -> None:
    error = {"message": f"Extra inputs are not permitted: {field}", "param": field}
    upstream.script_by(lambda body: Script(status=status, error=error) if body.get(field) else Script())
    answer = await engine_for(upstream, second).forward(ask("a", "b", stream=stream))
    assert await answer_text(answer) == "Hello, world"
    assert answer.progress.arm == "a"
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_stream_options_can_be_switched_off(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, stream: bool
) -> None:
    arms = [model("a", upstream.base_url), model("b", second.base_url)]
    arms[0]["upstream"]["stream_options"] = False
    engine = build_engine(router_config(arms))
    assert await answer_text(await engine.forward(ask("a", "b", stream=stream))) == "Hello, world"
    await engine.aclose()
    (sent,) = upstream.requests
    assert "stream_options" not in sent
    assert sent.get("stream", False) is stream


async def test_a_server_that_reports_no_usage_of_streams_is_asked_for_whole_answers_from_then_on(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script_by(lambda body: Script(usage=None) if body.get("stream") else Script())
    engine = engine_for(upstream, second)
    answers = [await engine.forward(ask("a", "b")) for _ in range(2)]
    assert [answer.progress.usage_known for answer in answers] == [False, True]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_whole_answer_in_place_of_a_stream_is_not_paid_twice(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, stream: bool
) -> None:
    message = {"role": "assistant", "content": "Hi"}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m"}
    body |= {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    body |= {"usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}
    upstream.script(Script(headers={"content-type": "application/json"}, frames=[json.dumps(body).encode()]))
    answer = await engine_for(upstream, second).forward(ask("a", "b", stream=stream))
    text = text_of(await payloads(answer)) if stream else await answer_text(answer)
    assert (text, answer.progress.usage) == ("Hi", Usage(prompt=1, completion=2))
    assert (len(upstream.requests), len(second.requests)) == (1, 0)


@pytest.mark.parametrize("end", [{"cut_after": 3}, {"hang_after": 3}])
async def test_what_a_failed_arm_had_written_is_paid_for(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, end: dict[str, int]
) -> None:
    upstream.script(Script(text=["four" * 10] * 5, **end))  # type: ignore[arg-type]
    engine = engine_for(upstream, second, timeouts={"idle": 0.2}, retries={"attempts": 1})
    answer = await engine.forward(ask("a", "b"))
    assert answer.progress.arm == "b"
    assert answer.progress.discarded == (Expense("a", Usage(completion=20)),)  # the role, and two chunks of ten tokens


async def test_what_was_written_is_paid_for_though_nobody_answered(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    for server in (upstream, second):
        server.script(Script(text=["four" * 10] * 5, cut_after=3) if server is upstream else Script(status=500))
    request = ask("a", "b")
    with pytest.raises(ForwardError):
        await engine_for(upstream, second, retries={"attempts": 1}).forward(request)
    assert request.spent == (Expense("a", Usage(completion=20)),)
