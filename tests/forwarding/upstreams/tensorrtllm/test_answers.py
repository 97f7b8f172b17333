"""TensorRT-LLM upstreams give OpenAI's answers: both dialects, streamed and not, against a real Triton."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from router_backend.forwarding.engine import Engine, build_engine
from router_backend.forwarding.failure import ForwardError
from tests.forwarding.upstreams.tensorrtllm.conftest import TensorRTLLM
from tests.support.arms import model, router_config
from tests.support.asking import answer_text, ask, labels, payloads, text_of
from tests.support.openai_schema import CHAT, COMPLETION, check_body, check_chunk
from tests.support.scripted_upstream import ScriptedUpstream

EngineOf = Callable[..., Engine]
SERVED = ["tensorrt_llm_bls", "accumulating", "ensemble", "tensorrt_llm"]
STORY = [{"role": "user", "content": "Tell me a story."}]
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 12, "messages": STORY}


@pytest.fixture(scope="module")
def expected(trtllm: TensorRTLLM) -> str:
    """The greedy answer, which every dialect must give."""

    async def say() -> str:
        engine = build_engine(router_config([trtllm.model("a", "tensorrt_llm_bls")]))
        body = (await engine.forward(ask("a", **GREEDY))).body
        await engine.aclose()
        text: str = orjson.loads(body)["choices"][0]["message"]["content"]
        return text

    return asyncio.run(say())


@pytest.mark.parametrize("served", SERVED)
async def test_a_whole_answer(engine_of: EngineOf, served: str, expected: str) -> None:
    answer = await engine_of(served).forward(ask(served, **GREEDY))
    body = orjson.loads(answer.body)
    check_body(body, CHAT)
    assert body["model"] == served
    assert body["id"].startswith("chatcmpl-")
    choice = body["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": expected, "refusal": None}
    assert choice["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 12
    # The same count from the server's tokenizer and from ours.
    assert body["usage"]["prompt_tokens"] == 35
    assert answer.progress.usage.completion == 12
    assert answer.progress.finish_reason == "length"
    assert answer.progress.revision == f"{served}@{served}/1"  # of the server's repository


@pytest.mark.parametrize("served", SERVED)
async def test_a_stream(engine_of: EngineOf, served: str, expected: str) -> None:
    answer = await engine_of(served).forward(ask(served, stream=True, stream_options={"include_usage": True}, **GREEDY))
    chunks = await payloads(answer)
    for chunk in chunks[:-1]:
        check_chunk(chunk, CHAT)
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert text_of(chunks) == expected
    assert len(chunks) > 10  # token by token
    assert {chunk["id"] for chunk in chunks[:-1]} == {chunks[0]["id"]}
    assert chunks[-3]["choices"][0]["finish_reason"] == "length"
    assert chunks[-2]["usage"] == {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 47}
    assert chunks[-1] == "[DONE]"


@pytest.mark.parametrize("served", SERVED)
@pytest.mark.parametrize("stream", [False, True])
async def test_stop_sequences_end_the_answer_and_stay_out(
    engine_of: EngineOf, served: str, stream: bool, expected: str
) -> None:
    stop = expected[20:26]
    answer = await engine_of(served).forward(ask(served, stream=stream, stop=["\u2603", stop], **GREEDY))
    assert await answer_text(answer) == expected[: expected.index(stop)]
    assert answer.progress.finish_reason == "stop"
    assert answer.progress.usage.completion < 12


@pytest.mark.parametrize("served", ["tensorrt_llm_bls", "tensorrt_llm"])
async def test_sampling_by_seed_and_without(engine_of: EngineOf, served: str) -> None:
    engine = engine_of(served)

    async def say(**fields: Any) -> str:
        answer = await engine.forward(ask(served, max_tokens=8, **fields))
        text: str = orjson.loads(answer.body)["choices"][0]["message"]["content"]
        return text

    assert await say(seed=7, temperature=1.5) == await say(seed=7, temperature=1.5)
    assert len({await say(temperature=1.5) for _ in range(3)}) > 1  # OpenAI samples again without a seed


@pytest.mark.parametrize("served", ["tensorrt_llm_bls", "tensorrt_llm"])
async def test_the_end_of_turn_is_a_stop(engine_of: EngineOf, served: str) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "Say "}, {"type": "text", "text": "yes."}]}]
    answer = await engine_of(served).forward(ask(served, messages=messages, temperature=0))
    body = orjson.loads(answer.body)
    assert body["choices"][0]["finish_reason"] == "stop"
    assert "<|im_end|>" not in body["choices"][0]["message"]["content"]


@pytest.mark.parametrize("served", ["tensorrt_llm_bls", "ensemble"])
async def test_response_formats_are_guided_decoding(engine_of: EngineOf, served: str) -> None:
    schema = {"type": "object", "properties": {"color": {"enum": ["red", "blue"]}}, "required": ["color"]}
    answer_format = {"type": "json_schema", "json_schema": {"name": "color", "schema": schema}}
    fields = {"temperature": 0, "max_tokens": 40, "response_format": answer_format}
    answer = await engine_of(served).forward(ask(served, **fields))
    text = orjson.loads(answer.body)["choices"][0]["message"]["content"]
    assert orjson.loads(text)["color"] in ("red", "blue")


async def test_a_model_without_guided_decoding_refuses_response_formats(engine_of: EngineOf) -> None:
    with pytest.raises(ForwardError, match="no guided decoding") as error:
        await engine_of("tensorrt_llm").forward(ask("tensorrt_llm", response_format={"type": "json_object"}))
    assert (error.value.error.status, error.value.error.param) == (400, "response_format")


async def test_completions_take_the_prompt_as_it_is(engine_of: EngineOf) -> None:
    request = ask(
        "ensemble", endpoint="completions", prompt="One, two, three,", stream=True, temperature=0, max_tokens=8
    )
    chunks = await payloads(await engine_of("ensemble").forward(request))
    for chunk in chunks[:-1]:
        check_chunk(chunk, COMPLETION)
    assert "four" in "".join(choice["text"] for chunk in chunks[:-1] for choice in chunk["choices"])


@pytest.mark.parametrize("served", SERVED)
async def test_the_server_is_told_the_trace(engine_of: EngineOf, trtllm: TensorRTLLM, served: str) -> None:
    parent = f"00-0af7651916cd43dd8448eb211c80319c-{SERVED.index(served) + 1:016x}-01"
    request = replace(ask(served, max_tokens=2), trace={"traceparent": parent})
    await engine_of(served).forward(request)
    assert parent in trtllm.journal.read_text().splitlines()


@pytest.mark.parametrize("served", ["tensorrt_llm_bls", "tensorrt_llm"])
@pytest.mark.parametrize("stream", [False, True])
async def test_leaving_ends_the_generation(engine_of: EngineOf, trtllm: TensorRTLLM, served: str, stream: bool) -> None:
    engine = engine_of(served)
    before = trtllm.journal.read_text().count("cancelled")
    request = ask(served, stream=stream, temperature=0, max_tokens=400, messages=STORY)
    task = asyncio.create_task(engine.forward(request))
    await asyncio.sleep(0.3)
    if stream:
        await (await task).aclose()
    else:
        task.cancel()
    async with asyncio.timeout(5):
        while trtllm.journal.read_text().count("cancelled") == before:
            await asyncio.sleep(0.01)
    assert engine.health() == {served: "closed"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"logprobs": True}, "logprobs"),
        ({"n": 2}, "n"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"made_up": 1}, "made_up"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": [""]}, "stop"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0]"),
    ],
)
async def test_what_cannot_be_honoured_is_refused_by_name(
    engine_of: EngineOf, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(ForwardError) as error:
        await engine_of("ensemble").forward(ask("ensemble", **fields))
    assert (error.value.error.status, error.value.error.param) == (400, param)


async def test_an_input_the_model_lacks_is_refused_by_name(engine_of: EngineOf) -> None:
    with pytest.raises(ForwardError, match="repetition_penalty") as error:
        await engine_of("tensorrt_llm").forward(ask("tensorrt_llm", repetition_penalty=1.2))
    assert error.value.error.status == 400
    await engine_of("tensorrt_llm").forward(ask("tensorrt_llm", repetition_penalty=1, max_tokens=1))


async def test_fields_that_change_nothing_are_taken(engine_of: EngineOf) -> None:
    neutral = {
        "n": 1,
        "tools": [],
        "logprobs": False,
        "response_format": {"type": "text"},
        "user": "u",
        "tool_choice": None,
    }
    await engine_of("ensemble").forward(ask("ensemble", max_tokens=1, **neutral))


async def test_what_one_arm_refuses_another_may_do(trtllm: TensorRTLLM, upstream: ScriptedUpstream) -> None:
    engine = build_engine(router_config([trtllm.model("a", "ensemble"), model("b", upstream.base_url)]))
    answer = await engine.forward(ask("a", "b", tools=[{"type": "function", "function": {"name": "f"}}]))
    assert (answer.progress.arm, labels(answer.progress.fallbacks)) == ("b", ("a:unsupported",))
    long = [{"role": "user", "content": "word " * 600}]
    answer = await engine.forward(ask("a", "b", messages=long))
    assert labels(answer.progress.fallbacks) == ("a:context_length",)
    with pytest.raises(ForwardError) as error:
        await engine.forward(ask("a", named=True, messages=long))
    assert (error.value.error.status, error.value.error.code) == (400, "context_length_exceeded")
    await engine.aclose()


@pytest.mark.parametrize("served", ["tensorrt_llm_bls", "ensemble", "tensorrt_llm"])
async def test_an_error_of_the_model_is_a_failure(engine_of: EngineOf, served: str) -> None:
    request = ask(served, endpoint="completions", prompt="FAIL", stream=True, max_tokens=4)
    with pytest.raises(ForwardError, match="scripted failure") as error:
        await engine_of(served).forward(request)
    assert error.value.error.status == 502


async def test_a_model_that_is_not_there(engine_of: EngineOf) -> None:
    with pytest.raises(ForwardError, match=r"check upstream\.model") as error:
        await engine_of("no_such_model").forward(ask("no_such_model"))
    assert error.value.error.status == 502


async def test_a_server_that_is_not_there(trtllm: TensorRTLLM) -> None:
    arm = trtllm.model("a", "ensemble")
    arm["upstream"]["url"] = "127.0.0.1:1"
    engine = build_engine(router_config([arm]))
    with pytest.raises(ForwardError, match="can't be reached") as error:
        await engine.forward(ask("a"))
    assert error.value.error.status == 502
    await engine.aclose()
