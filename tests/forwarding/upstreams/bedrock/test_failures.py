"""What Bedrock's failures mean: who is told what, what is tried again, what falls back; and the peers' rows."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import math
from typing import Any

import pytest

from router_backend.forwarding.failure import ForwardError
from tests.forwarding.upstreams.bedrock.conftest import BuildEngine
from tests.forwarding.upstreams.bedrock.test_answers import request, streamed, text_of, whole
from tests.support.scripted_bedrock import Script, ScriptedBedrock, event, frame, text_events

BEGUN = text_events("Hel")[:2]


@pytest.mark.parametrize(
    ("status", "name", "message", "told", "cause", "calls"),
    [
        (429, "ThrottlingException", "Too many requests", 429, "rate_limited", 2),
        (400, "ServiceQuotaExceededException", "Too many tokens per day", 429, "rate_limited", 2),
        (503, "ServiceUnavailableException", "try later", 503, "http_503", 2),
        (429, "ModelNotReadyException", "it loads", 503, "http_503", 2),
        (500, "InternalServerException", "oh", 502, "http_500", 2),
        (424, "ModelErrorException", "the model failed", 502, "http_500", 2),
        (408, "ModelTimeoutException", "too slow", 504, "http_504", 2),
        (400, "ValidationException", "messages.0.content: text field is blank", 400, "http_400", 1),
        (400, "ValidationException", "Input is too long for requested model.", 400, "context_length", 1),
        (400, "ValidationException", "prompt is too long: 250000 tokens > 200000 maximum", 400, "context_length", 1),
        (400, "ValidationException", "The provided model identifier is invalid.", 502, "no_model", 1),
        (400, "ValidationException", "This model doesn't support the image content block.", 400, "unsupported", 1),
        (404, "ResourceNotFoundException", "no such profile", 502, "no_model", 1),
        (403, "AccessDeniedException", "You don't have access to the model", 502, "upstream_auth", 1),
        (403, "ExpiredTokenException", "The security token is expired", 502, "upstream_auth", 1),
        (403, "UnrecognizedClientException", "The security token is invalid", 502, "upstream_auth", 1),
    ],
)
async def test_an_exception_in_place_of_an_answer(
    bedrock: ScriptedBedrock,
    engine_for: BuildEngine,
    status: int,
    name: str,
    message: str,
    told: int,
    cause: str,
    calls: int,
) -> None:
    bedrock.script(Script(status=status, error=name, message=message))
    with pytest.raises(ForwardError) as failed:
        await engine_for(bedrock).forward(request())
    assert (failed.value.error.status, str(failed.value.cause)) == (told, cause)
    assert len(bedrock.requests) == calls
    assert "api_key" not in failed.value.error.message


@pytest.mark.parametrize("stream", [True, False])
async def test_throttling_falls_back(
    bedrock: ScriptedBedrock, other: ScriptedBedrock, engine_for: BuildEngine, stream: bool
) -> None:
    bedrock.script(Script(status=429, error="ThrottlingException", headers={"retry-after": "0"}))
    engine = engine_for(bedrock, other)
    if stream:
        assert text_of(await streamed(engine, "a", "b")) == "Hello, world"
    else:
        assert (await whole(engine, "a", "b"))["choices"][0]["message"]["content"] == "Hello, world"


@pytest.mark.parametrize(
    ("name", "fields", "code"),
    [
        ("throttlingException", {"message": "slow down"}, "rate_limit_exceeded"),
        (
            "modelStreamErrorException",
            {"message": "lost", "originalStatusCode": 500, "originalMessage": "x"},
            "http_500",
        ),
        ("internalServerException", {"message": "oh"}, "http_500"),
        ("serviceUnavailableException", {"message": "oh"}, "http_503"),
        ("validationException", {"message": "bad output"}, "invalid_request"),
    ],
)
async def test_an_exception_in_the_middle_is_the_streams_end(
    bedrock: ScriptedBedrock,
    other: ScriptedBedrock,
    engine_for: BuildEngine,
    name: str,
    fields: dict[str, Any],
    code: str,
) -> None:
    """After the first content nobody else is asked, and the client sees an error and no normal ending."""
    bedrock.script(Script(events=[*BEGUN, (name, fields)]))
    chunks = await streamed(engine_for(bedrock, other), "a", "b")
    assert text_of(chunks) == "Hel"
    assert chunks[-1]["error"]["code"] == code
    assert not other.requests


async def test_an_exception_before_any_content_is_tried_again(
    bedrock: ScriptedBedrock, engine_for: BuildEngine
) -> None:
    first = Script(events=[("messageStart", {"role": "assistant"}), ("modelStreamErrorException", {"message": "lost"})])
    bedrock.script(first, Script())
    assert text_of(await streamed(engine_for(bedrock))) == "Hello, world"


async def test_the_services_own_error_frame_is_an_error(bedrock: ScriptedBedrock, engine_for: BuildEngine) -> None:
    error = frame({":message-type": "error", ":error-code": "InternalFailure", ":error-message": "gone"}, b"")
    bedrock.script(Script(frames=[*(event(*each) for each in BEGUN), error]))
    chunks = await streamed(engine_for(bedrock))
    assert "gone" in chunks[-1]["error"]["message"]


@pytest.mark.parametrize(
    "script",
    [
        Script(cut_after=3),
        Script(frames=[event(*each) for each in BEGUN]),  # a clean end of the body, and no end of the answer
        Script(frames=[*(event(*each) for each in BEGUN), event(*BEGUN[1])[:20]]),
    ],
    ids=["connection", "body", "frame"],
)
async def test_a_cut_stream_is_an_error(bedrock: ScriptedBedrock, engine_for: BuildEngine, script: Script) -> None:
    bedrock.script(script)
    chunks = await streamed(engine_for(bedrock))
    assert chunks[-1]["error"]["code"] == "cut"


async def test_a_corrupt_frame_is_an_error(bedrock: ScriptedBedrock, engine_for: BuildEngine) -> None:
    broken = bytearray(event(*BEGUN[1]))
    broken[-1] ^= 1
    bedrock.script(Script(frames=[*(event(*each) for each in BEGUN), bytes(broken)]))
    chunks = await streamed(engine_for(bedrock))
    assert text_of(chunks) == "Hel"
    assert chunks[-1]["error"]["code"] == "invalid_response"


@pytest.mark.parametrize("script", [Script(latency=math.inf), Script(hang_after=1)], ids=["headers", "events"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_hung_model_costs_a_fallback(
    bedrock: ScriptedBedrock, other: ScriptedBedrock, engine_for: BuildEngine, script: Script, stream: bool
) -> None:
    bedrock.script(script)
    engine = engine_for(bedrock, other, timeouts={"first_token": 0.3, "total": 60})
    if stream:
        assert text_of(await streamed(engine, "a", "b")) == "Hello, world"
    else:
        assert (await whole(engine, "a", "b"))["choices"][0]["message"]["content"] == "Hello, world"
    await bedrock.wait_cancelled()


async def test_silence_in_the_middle_is_an_error(bedrock: ScriptedBedrock, engine_for: BuildEngine) -> None:
    bedrock.script(Script(hang_after=2))
    chunks = await streamed(engine_for(bedrock, timeouts={"idle": 0.3}))
    assert chunks[-1]["error"]["code"] == "timeout_idle"
    await bedrock.wait_cancelled()


@pytest.mark.parametrize("script", [Script(latency=math.inf), Script(hang_after=2)], ids=["before", "in the middle"])
async def test_a_client_that_leaves_cancels_the_call(
    bedrock: ScriptedBedrock, engine_for: BuildEngine, script: Script
) -> None:
    bedrock.script(script)
    task = asyncio.create_task(whole(engine_for(bedrock, bedrock), "a", "b"))
    await bedrock.wait_requests()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await bedrock.wait_cancelled()


async def test_without_credentials_another_arm_answers(
    bedrock: ScriptedBedrock, engine_for: BuildEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ForwardError) as failed:
        await engine_for(bedrock).forward(request())
    assert str(failed.value.cause) == "upstream_auth"
    assert "credentials" in failed.value.error.message
    assert not bedrock.requests


async def test_a_wrong_secret_is_the_routers_fault(
    bedrock: ScriptedBedrock, engine_for: BuildEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(ForwardError) as failed:
        await engine_for(bedrock).forward(request())
    assert failed.value.error.status == 502
    assert bedrock.refused


async def test_a_whole_answer_that_is_none_is_an_error(bedrock: ScriptedBedrock, engine_for: BuildEngine) -> None:
    for body in (b"", b"[]", b'{"output": {}}', b"x" * 1000, b'{"output": {"message": {"content": 3}}}'):
        bedrock.script(Script(body=body))
        with pytest.raises(ForwardError) as failed:
            await engine_for(bedrock).forward(request())
        assert str(failed.value.cause) == "invalid_response"


@pytest.mark.parametrize("endpoint", ["completions", "embeddings"])
async def test_it_answers_chat_alone(bedrock: ScriptedBedrock, engine_for: BuildEngine, endpoint: str) -> None:
    asked = dataclasses.replace(request(prompt="hi", input="hi"), endpoint=endpoint)  # type: ignore[arg-type]
    with pytest.raises(ForwardError) as failed:
        await engine_for(bedrock).forward(asked)
    assert str(failed.value.cause) == "unsupported"


def test_a_region_is_needed(engine_for: BuildEngine, bedrock: ScriptedBedrock) -> None:
    with pytest.raises(ValueError, match="no region"):
        engine_for(bedrock, upstream={"region": None})


async def test_large_bodies_go_through_and_hold_up_nobody(bedrock: ScriptedBedrock, engine_for: BuildEngine) -> None:
    """Six megabytes of an image and of text, read off the loop."""
    url = "data:image/png;base64," + base64.b64encode(b"\x89PNG" + bytes(3_000_000)).decode()
    parts = [{"type": "text", "text": "x" * 2_000_000}, {"type": "image_url", "image_url": {"url": url}}]
    messages = [*({"role": "user", "content": "hi"} for _ in range(1000)), {"role": "user", "content": parts}]
    asked = request(messages=messages)
    answer = await engine_for(bedrock).forward(dataclasses.replace(asked, size=6_000_000))
    assert answer.progress.usage.prompt == 7
    (turn,) = bedrock.requests[0]["messages"]
    assert len(turn["content"]) == 1002
    assert turn["content"][-1]["image"]["source"]["bytes"] == url.partition(",")[2]


async def test_a_large_error_is_told_in_short(bedrock: ScriptedBedrock, engine_for: BuildEngine) -> None:
    bedrock.script(Script(status=400, error="ValidationException", message="y" * 3_000_000))
    with pytest.raises(ForwardError) as failed:
        await engine_for(bedrock).forward(request())
    assert len(failed.value.error.message) < 10_000


def test_the_region_may_be_the_environments(
    engine_for: BuildEngine, bedrock: ScriptedBedrock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS_REGION is what Lambda and containers set."""
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    engine_for(bedrock, upstream={"region": None})
