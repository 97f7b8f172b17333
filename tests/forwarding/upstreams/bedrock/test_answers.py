"""Bedrock's answers as clients get them; botocore's own client reads the same frames."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import botocore.session
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router_backend.forwarding.answers import StreamedAnswer
from router_backend.forwarding.engine import Engine
from router_backend.forwarding.request import ForwardRequest
from router_backend.forwarding.upstreams.bedrock.frames import FrameError, Frames
from tests.forwarding.upstreams.bedrock.conftest import MODEL, BuildEngine
from tests.support.scripted_bedrock import ACCESS, REGION, SECRET, Event, Script, ScriptedBedrock, event, text_events

TOOL_EVENTS: Sequence[Event] = [
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"delta": {"reasoningContent": {"text": "Let me "}}, "contentBlockIndex": 0}),
    ("contentBlockDelta", {"delta": {"reasoningContent": {"text": "look."}}, "contentBlockIndex": 0}),
    ("contentBlockDelta", {"delta": {"reasoningContent": {"signature": "c2lnbmVk"}}, "contentBlockIndex": 0}),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("contentBlockDelta", {"delta": {"text": "I ask: "}, "contentBlockIndex": 1}),
    ("contentBlockStop", {"contentBlockIndex": 1}),
    ("contentBlockStart", {"start": {"toolUse": {"toolUseId": "call-1", "name": "weather"}}, "contentBlockIndex": 2}),
    ("contentBlockDelta", {"delta": {"toolUse": {"input": '{"city": '}}, "contentBlockIndex": 2}),
    ("contentBlockDelta", {"delta": {"toolUse": {"input": '"Zürich"}'}}, "contentBlockIndex": 2}),
    ("contentBlockStop", {"contentBlockIndex": 2}),
    ("contentBlockStart", {"start": {"toolUse": {"toolUseId": "call-2", "name": "time"}}, "contentBlockIndex": 3}),
    ("contentBlockStop", {"contentBlockIndex": 3}),
    ("messageStop", {"stopReason": "tool_use"}),
    (
        "metadata",
        {
            "usage": {
                "inputTokens": 10,
                "outputTokens": 30,
                "totalTokens": 1340,
                "cacheReadInputTokens": 1000,
                "cacheWriteInputTokens": 300,
            },
            "metrics": {"latencyMs": 1},
        },
    ),
]


def request(*arms: str, stream: bool = False, **fields: Any) -> ForwardRequest:
    body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "stream": stream, **fields}
    return ForwardRequest(body=body, arms=arms or ("a",))


async def streamed(engine: Engine, *arms: str, **fields: Any) -> list[dict[str, Any]]:
    answer = await engine.forward(request(*arms, stream=True, stream_options={"include_usage": True}, **fields))
    assert isinstance(answer, StreamedAnswer)
    return [orjson.loads(chunk) async for chunks in answer.payloads() for chunk in chunks]


def text_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices", ()))


async def whole(engine: Engine, *arms: str, **fields: Any) -> dict[str, Any]:
    answer = await engine.forward(request(*arms, **fields))
    body: dict[str, Any] = orjson.loads(answer.body)  # type: ignore[union-attr]
    return body


async def test_a_stream_is_chunks_with_usage(bedrock: ScriptedBedrock, engine_for: BuildEngine) -> None:
    chunks = await streamed(engine_for(bedrock))
    assert text_of(chunks) == "Hello, world"
    assert {chunk["model"] for chunk in chunks} == {"a"}
    assert [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]][-1] == "stop"
    assert chunks[-1]["usage"]["total_tokens"] == 10
    assert bedrock.models == [MODEL]
    assert not bedrock.refused


@pytest.mark.parametrize("spare", [True, False])
async def test_a_whole_answer_is_one_however_it_comes(
    bedrock: ScriptedBedrock, other: ScriptedBedrock, engine_for: BuildEngine, spare: bool
) -> None:
    """With another arm to spare it is streamed to the router, so that silence is noticed."""
    body = await whole(engine_for(bedrock, other), *("ab" if spare else "a"))
    assert body["choices"][0]["message"]["content"] == "Hello, world"
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (7, 3)


async def test_tools_thoughts_and_cached_tokens_arrive(bedrock: ScriptedBedrock, engine_for: BuildEngine) -> None:
    bedrock.script(Script(events=TOOL_EVENTS))
    engine = engine_for(bedrock, bedrock)
    answer = await engine.forward(request("a", "b"))
    body = orjson.loads(answer.body)  # type: ignore[union-attr]
    (choice,) = body["choices"]
    message = choice["message"]
    assert choice["finish_reason"] == "tool_calls"
    assert message["content"] == "I ask: "
    assert message["reasoning_content"] == "Let me look."
    assert message["thinking_blocks"] == [{"type": "thinking", "thinking": "Let me look.", "signature": "c2lnbmVk"}]
    calls = [
        (call["id"], call["function"]["name"], orjson.loads(call["function"]["arguments"]))
        for call in message["tool_calls"]
    ]
    assert calls == [("call-1", "weather", {"city": "Zürich"}), ("call-2", "time", {})]
    assert body["usage"]["prompt_tokens"] == 1310
    assert body["usage"]["prompt_tokens_details"]["cached_tokens"] == 1000
    usage = answer.progress.usage
    assert (usage.prompt, usage.cached, usage.cache_write) == (1310, 1000, 300)


@pytest.mark.parametrize("split", [1, 7, 64])
async def test_frames_may_be_split_anywhere(bedrock: ScriptedBedrock, engine_for: BuildEngine, split: int) -> None:
    bedrock.script(Script(events=text_events("日本語", "🙂"), split=split))
    assert text_of(await streamed(engine_for(bedrock))) == "日本語🙂"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("max_tokens", "length"),
        ("stop_sequence", "stop"),
        ("guardrail_intervened", "content_filter"),
        ("model_context_window_exceeded", "length"),
        ("something_new", "stop"),
    ],
)
async def test_why_it_ended(bedrock: ScriptedBedrock, engine_for: BuildEngine, reason: str, finish: str) -> None:
    bedrock.script(Script(events=text_events("so", reason=reason)))
    assert (await whole(engine_for(bedrock)))["choices"][0]["finish_reason"] == finish


async def test_an_inference_profile_may_be_an_arn(bedrock: ScriptedBedrock, engine_for: BuildEngine) -> None:
    arn = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc123"
    await whole(engine_for(bedrock, upstream={"model": arn}))
    assert bedrock.models == [arn]


def client(bedrock: ScriptedBedrock) -> Any:
    return botocore.session.get_session().create_client(
        "bedrock-runtime",
        region_name=REGION,
        endpoint_url=bedrock.url,
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
    )


async def test_botocores_client_reads_the_same_frames(bedrock: ScriptedBedrock, engine_for: BuildEngine) -> None:
    """The judge of the scripted server: what it sends is what AWS's own client understands, and signs alike."""
    bedrock.script(Script(events=TOOL_EVENTS))

    def read() -> list[dict[str, Any]]:
        messages = [{"role": "user", "content": [{"text": "hi"}]}]
        return list(client(bedrock).converse_stream(modelId=MODEL, messages=messages)["stream"])

    events = await asyncio.to_thread(read)
    assert [next(iter(each)) for each in events] == [name for name, _ in TOOL_EVENTS]
    await whole(engine_for(bedrock, bedrock), "a", "b")
    theirs, ours = bedrock.requests
    assert ours == theirs
    assert bedrock.models == [MODEL, MODEL]
    assert not bedrock.refused


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_a_broken_frame_is_an_error_and_never_an_answer(data: st.DataObject) -> None:
    """Any single byte of a stream changed: what is read is the beginning of what was sent, or an error."""
    sent = [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"delta": {"text": "x"}, "contentBlockIndex": 0}),
    ]
    whole_stream = bytearray(b"".join(event(*each) for each in sent))
    at = data.draw(st.integers(0, len(whole_stream) - 1))
    whole_stream[at] ^= data.draw(st.integers(1, 255))
    frames, found = Frames(), []
    try:
        for read in frames.feed(bytes(whole_stream)):
            found.append((read.name, read.fields))
    except FrameError:
        pass
    assert found == sent[: len(found)]
    assert len(found) < len(sent)
