"""What upstreams say is checked and bounded where it enters: nothing they write can end a request, a record or a header."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from router_backend.core.records import Usage
from router_backend.forwarding.answers import StreamedAnswer, WholeAnswer
from router_backend.forwarding.engine import Engine
from router_backend.forwarding.failure import ForwardError
from router_backend.forwarding.progress import Progress
from tests.support.asking import ask, labels
from tests.support.openai_schema import CHAT, check_body
from tests.support.scripted_upstream import Script, ScriptedUpstream

EngineFor = Callable[..., Engine]
USAGE = {"prompt_tokens": 1, "completion_tokens": 2}
SURROGATE = "\ud83d"


async def answered(engine: Engine, *, stream: bool, **fields: Any) -> tuple[list[Any], Progress]:
    """The JSON of a named request's answer, whole or chunk by chunk, and what is recorded of it."""
    answer = await engine.forward(ask("a", named=True, stream=stream, **fields))
    if isinstance(answer, WholeAnswer):
        return [orjson.loads(answer.body)], answer.progress
    assert isinstance(answer, StreamedAnswer)
    return [orjson.loads(chunk) async for chunk in answer.chunks()], answer.progress


def scripted(choice: dict[str, Any] | None = None, **fields: Any) -> Script:
    """An answer with odd fields, whole and as a stream of one chunk."""
    head = {"id": "x", "created": 1, "model": "m"}
    odd = {"index": 0, "finish_reason": "stop", **(choice or {})}
    whole = {"choices": [{"message": {"role": "assistant", "content": "Hi"}, **odd}]}
    piece = {"choices": [{"delta": {"content": "Hi"}, **odd}]}
    frames = [b"data: " + json.dumps({**head, **piece, **fields}).encode() + b"\n\n", b"data: [DONE]\n\n"]
    return Script(body=json.dumps({**head, **whole, **fields}).encode(), frames=frames)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "reason", ["x" * 1_000_000, SURROGATE, "stop" + SURROGATE, "a\r\nb", 7, True, ["stop"], {"a": 1}, "\x00"]
)
async def test_a_finish_reason_is_a_short_word(
    engine_for: EngineFor, upstream: ScriptedUpstream, reason: Any, stream: bool
) -> None:
    upstream.script(scripted({"finish_reason": reason}))
    data, progress = await answered(engine_for(upstream), stream=stream)
    assert progress.finish_reason == "stop"
    assert data[0]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 10.0, "completion_tokens": 2.0, "total_tokens": 12.0}, Usage(prompt=10, completion=2)),
        ({"prompt_tokens": int("9" * 26), "completion_tokens": 2}, None),
        ({"prompt_tokens": -5, "completion_tokens": 2}, None),
        ({"prompt_tokens": float("nan"), "completion_tokens": 2, "x": int("9" * 26)}, None),
        ({"prompt_tokens": float("inf"), "completion_tokens": 2}, None),
        ({"prompt_tokens": True, "completion_tokens": 2}, None),
        ({"prompt_tokens": "10", "completion_tokens": 2}, None),
        ({"prompt_tokens": 10.5, "completion_tokens": 2}, None),
        ({}, None),
        (
            {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": True}},
            Usage(prompt=10, completion=2),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": -1}},
            Usage(prompt=10, completion=2),
        ),
    ],
)
async def test_a_usage_that_can_not_be_is_not_known(
    engine_for: EngineFor, upstream: ScriptedUpstream, usage: dict[str, Any], expected: Usage | None, stream: bool
) -> None:
    upstream.script(scripted(usage=usage))
    data, progress = await answered(engine_for(upstream), stream=stream, stream_options={"include_usage": True})
    assert progress.usage_known is (expected is not None)
    if expected:
        assert progress.usage == expected
        assert type(data[0]["usage"]["prompt_tokens"]) is int


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [200, 400, 404, 429, 500])
async def test_an_error_with_surrogates_is_an_error_like_any_other(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, status: int, stream: bool
) -> None:
    odd = SURROGATE + "x" * 100_000
    error = {"message": odd, "type": odd, "code": odd, "param": odd}
    body = json.dumps({"error": error}).encode()
    upstream.script(Script(status=status, error=error, body=body, frames=[b"data: " + body + b"\n\n"]))
    with pytest.raises(ForwardError) as failed:
        await engine_for(upstream, second).forward(ask("a", stream=stream, named=True))
    told = failed.value.error
    for text in (told.message, told.type, told.code, told.param):
        (text or "").encode()
        assert len(text or "") <= 2000


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_without_any_choice_is_no_answer(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, stream: bool
) -> None:
    body = b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[]}'
    upstream.script(Script(body=body, frames=[b"data: " + body + b"\n\n", b"data: [DONE]\n\n"]))
    answer = await engine_for(upstream, second).forward(ask("a", "b", stream=stream))
    assert labels(answer.progress.fallbacks) == ("a:invalid_response",)


@pytest.mark.parametrize("call", [{}, {"arguments": {"city": "Rome"}}, {"arguments": None}])
async def test_whole_answers_are_completed(engine_for: EngineFor, upstream: ScriptedUpstream, call: Any) -> None:
    message = {"tool_calls": [{"function": {"name": "weather", **call}}]}
    body = {"choices": [{"message": message}, {"message": {"content": "Hi"}}], "usage": USAGE}
    upstream.script(Script(body=json.dumps(body).encode()))
    (answer,), progress = await answered(engine_for(upstream), stream=False)
    check_body(answer, CHAT)
    assert [choice["finish_reason"] for choice in answer["choices"]] == ["tool_calls", "stop"]
    assert progress.finish_reason == "tool_calls"
    arguments = answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == (call.get("arguments") or {})


async def test_nulls_in_place_of_delta_and_choices_are_completed(
    engine_for: EngineFor, upstream: ScriptedUpstream
) -> None:
    last = b'data: {"id":"x","created":1,"choices":[{"index":0,"delta":null,"finish_reason":"stop"}]}\n\n'
    first = b'data: {"id":"x","created":1,"choices":[{"delta":{"content":"Hi"}}]}\n\n'
    null = b'data: {"id":"x","created":1,"choices":null}\n\n'
    upstream.script(Script(frames=[null, first, last, b"data: [DONE]\n\n"]))
    data, _ = await answered(engine_for(upstream), stream=True)
    assert data[0]["choices"] == []
    assert data[1]["choices"][0]["index"] == 0
    assert data[2]["choices"][0]["delta"] == {}


async def test_a_first_chunk_of_the_year_1970_gives_its_time_to_no_other(
    engine_for: EngineFor, upstream: ScriptedUpstream
) -> None:
    """Azure's, which carries only the prompt's filter results."""
    first = b'data: {"id":"","created":0,"object":"","choices":[],"prompt_filter_results":[]}\n\n'
    rest = b'data: {"id":"x","created":1700000000,"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n'
    upstream.script(Script(frames=[first, rest, b"data: [DONE]\n\n"]))
    data, _ = await answered(engine_for(upstream), stream=True)
    assert len({chunk["created"] for chunk in data}) == 1
    assert data[0]["created"] >= 1700000000


@pytest.mark.parametrize("stream", [False, True])
async def test_a_probability_of_zero_has_openais_logarithm(
    engine_for: EngineFor, upstream: ScriptedUpstream, stream: bool
) -> None:
    token = {"token": "Hi", "logprob": float("-inf"), "bytes": None, "top_logprobs": []}
    upstream.script(scripted({"logprobs": {"content": [token], "refusal": None}}, model="a"))
    data, _ = await answered(engine_for(upstream), stream=stream)
    assert data[0]["choices"][0]["logprobs"]["content"][0]["logprob"] == -9999.0


@pytest.mark.parametrize("index", [500_000, -1, 1e300, "0", True, [0]])
async def test_the_index_of_a_choice_is_a_small_number(
    engine_for: EngineFor, upstream: ScriptedUpstream, index: Any
) -> None:
    upstream.script(scripted({"index": index}))
    with pytest.raises(ForwardError, match="index"):
        await answered(engine_for(upstream), stream=True)


async def test_ids_are_short_and_printable(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    upstream.script(scripted(id=SURROGATE), scripted(id="x" * 100_000), scripted(id=["x"]))
    engine = engine_for(upstream)
    for stream in (False, True, False):
        data, _ = await answered(engine, stream=stream)
        assert data[0]["id"].startswith("chatcmpl-")


@pytest.mark.parametrize("body", [{"error": {"message": "no credit"}}, {"detail": "no credit"}, {"error": "no credit"}])
async def test_an_error_in_place_of_a_stream_keeps_its_message(
    engine_for: EngineFor, upstream: ScriptedUpstream, body: Any
) -> None:
    script = Script(headers={"content-type": "application/json"}, frames=[json.dumps(body).encode()])
    upstream.script(script)
    with pytest.raises(ForwardError, match="no credit"):
        await answered(engine_for(upstream), stream=True)


@pytest.mark.parametrize("status", [402, 405, 418, 451])
async def test_messages_of_rare_statuses_are_kept(
    engine_for: EngineFor, upstream: ScriptedUpstream, status: int
) -> None:
    upstream.script(Script(status=status, error={"message": "no credit"}))
    with pytest.raises(ForwardError, match="no credit"):
        await answered(engine_for(upstream), stream=False)
