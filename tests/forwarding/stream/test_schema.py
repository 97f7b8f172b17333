"""Answers of servers that leave out or add what OpenAI's schema doesn't allow, against OpenAI's published document."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import orjson
import pytest

from router_backend.forwarding.progress import Progress
from router_backend.forwarding.stream.chunks import ChunkReader, read_body
from tests.support.openai_schema import CHAT, COMPLETION, check_body, check_chunk

HEAD = {"id": "x", "created": 1, "model": "theirs"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
TOKEN = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
CALL = {"function": {"name": "weather", "arguments": "{}"}}
# Fields that vLLM's models write out when they are null (vllm/entrypoints/openai/protocol.py).
NULLS = {"service_tier": None, "system_fingerprint": None, "prompt_logprobs": None, "kv_transfer_params": None}
MESSAGE_NULLS = {"annotations": None, "audio": None, "function_call": None, "reasoning_content": None}


def whole(message: dict[str, Any], finish: str = "stop", choice: dict[str, Any] | None = None, **fields: Any) -> Any:
    choices = [{"index": 0, "message": message, "finish_reason": finish, **(choice or {})}]
    return {**HEAD, "object": "chat.completion", "choices": choices, "usage": USAGE, **fields}


def piece(delta: dict[str, Any], choice: dict[str, Any] | None = None, **fields: Any) -> Any:
    choices = [{"index": 0, "delta": delta, **(choice or {})}]
    return {**HEAD, "object": "chat.completion.chunk", "choices": choices, **fields}


SAID = {"role": "assistant", "content": "a"}


@pytest.mark.parametrize(
    "body",
    [
        whole(SAID),
        whole({**SAID, "refusal": None, "tool_calls": [], **MESSAGE_NULLS}, choice={"logprobs": None}, **NULLS),
        whole({**SAID, "tool_calls": None}, choice={"logprobs": {"content": [TOKEN]}}, usage=None),
        whole({"role": "assistant", "tool_calls": [CALL, {**CALL, "id": None, "type": None}]}, finish="tool_calls"),
        whole(SAID, usage={**USAGE, "prompt_tokens_details": None, "completion_tokens_details": None}),
    ],
    ids=["llama.cpp", "vLLM", "log probabilities", "tool calls", "usage"],
)
def test_whole_chats(body: dict[str, Any]) -> None:
    check_body(orjson.loads(read_body(orjson.dumps(body), Progress(arm="arm", started=0), "chat/completions")), CHAT)


@pytest.mark.parametrize("choice", [{}, {"logprobs": None, "stop_reason": None}])
def test_whole_completions(choice: dict[str, Any]) -> None:
    choices = [{"index": 0, "text": "a", "finish_reason": "length", **choice}]
    body = {**HEAD, "object": "text_completion", "choices": choices, **NULLS}
    check_body(orjson.loads(read_body(orjson.dumps(body), Progress(arm="arm", started=0), "completions")), COMPLETION)


@pytest.mark.parametrize(
    "chunk",
    [
        piece(SAID),
        piece(SAID, {"finish_reason": None, "logprobs": None}, **NULLS),
        piece({"content": "a", "tool_calls": None, "function_call": None}),
        piece({"content": "a"}, {"logprobs": {"content": [TOKEN]}}),
        piece({"tool_calls": [{"function": {"name": "weather", "arguments": ""}}]}),
        piece({"tool_calls": [{"index": 0, "id": None, "type": None, "function": {"name": None, "arguments": "{"}}]}),
        piece({}, {"finish_reason": "tool_calls"}, usage=None),
        {**piece({}), "choices": [], "usage": {**USAGE, "prompt_tokens_details": None}},
    ],
)
def test_chunks(chunk: dict[str, Any]) -> None:
    taken = ChunkReader(Progress(arm="arm", started=0), usage_asked=True).take(orjson.dumps(chunk))
    check_chunk(orjson.loads(taken or b""), CHAT)


def test_chunks_of_completions() -> None:
    chunk = {**HEAD, "object": "text_completion", "choices": [{"index": 0, "text": "a"}]}
    taken = ChunkReader(Progress(arm="arm", started=0), usage_asked=True).take(orjson.dumps(chunk))
    check_chunk(orjson.loads(taken or b""), COMPLETION)


def test_ids_of_tool_calls_that_have_none_differ() -> None:
    body = whole({"role": "assistant", "tool_calls": [CALL, CALL]}, finish="tool_calls")
    data = read_body(orjson.dumps(body), Progress(arm="arm", started=0), "chat/completions")
    calls = orjson.loads(data)["choices"][0]["message"]["tool_calls"]
    assert len({call["id"] for call in calls}) == 2


def test_a_complete_answer_of_the_arms_own_name_stays_byte_for_byte() -> None:
    body = whole({**SAID, "refusal": None}, choice={"logprobs": None}, model="arm", timings={"ms": 1.0})
    data = orjson.dumps(body, option=orjson.OPT_INDENT_2)
    assert read_body(data, Progress(arm="arm", started=0), "chat/completions") == data


@pytest.mark.parametrize("odd", [1, "x", {}, [], [1], [None], {"a": None}, True])
@pytest.mark.parametrize("field", ["tool_calls", "function_call", "logprobs", "message", "delta", "usage"])
def test_fields_of_a_wrong_type_are_passed_on(field: str, odd: Any) -> None:
    body, chunk = deepcopy(whole(SAID)), deepcopy(piece(SAID))
    for part in (
        body,
        body["choices"][0],
        body["choices"][0]["message"],
        chunk,
        *chunk["choices"],
        chunk["choices"][0]["delta"],
    ):
        part[field] = odd
    read_body(orjson.dumps(body), Progress(arm="arm", started=0), "chat/completions")
    assert ChunkReader(Progress(arm="arm", started=0), usage_asked=True).take(orjson.dumps(chunk))
