"""What is noticed in answers, whatever API they came in, and in what clients send back."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from router_backend.learning.reading import Reading, ToolCall, read_answer
from router_backend.learning.signals import signals_in
from router_backend.prompts.loop import failed_calls

SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
WANTED = {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}}
TOOLS = {"tools": [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}]}


def call(arguments: str, name: str = "look") -> Reading:
    return Reading(calls=(ToolCall("c1", name, arguments),))


@pytest.mark.parametrize(
    ("request_", "answer", "finish", "signals"),
    [
        ({}, Reading("Paris."), "stop", []),
        ({}, Reading(" \n"), "stop", ["empty"]),
        ({}, Reading("I'm sorry, but I can't help with that."), "stop", ["refusal"]),
        ({}, Reading("申し訳ありませんが、お手伝いできません。"), "stop", ["refusal"]),
        ({}, Reading("He said: I'm sorry."), "stop", []),
        ({}, Reading("half"), "content_filter", ["refusal"]),
        (WANTED, Reading(refusal="No."), "stop", ["refusal"]),
        (WANTED, Reading('{"age": 3}'), "stop", []),
        (WANTED, Reading('{"age": "3"}'), "stop", ["invalid_output"]),
        (WANTED, Reading('```json\n{"age": 3}\n```'), "stop", ["invalid_output"]),
        (WANTED, Reading('{"age": 3'), "length", []),  # cut, which is `truncated`
        (WANTED, Reading("a" * 70_000), "stop", []),  # too much to look at
        ({"response_format": {"type": "json_object"}}, Reading("[1]"), "stop", ["invalid_output"]),
        ({"response_format": {"type": "json_object"}}, Reading("{}"), "stop", []),
        ({"response_format": {"type": "text"}}, Reading("{"), "stop", []),
        ({"response_format": "text"}, Reading("{"), "stop", []),
        (TOOLS, call('{"age": 3}'), "tool_calls", []),
        (TOOLS, call('{"age": 3'), "tool_calls", ["invalid_tool_call"]),
        (TOOLS, call("[]"), "tool_calls", ["invalid_tool_call"]),
        (TOOLS, call(""), "tool_calls", ["invalid_tool_call"]),
        (TOOLS, call('{"age": 3}', "see"), "tool_calls", ["invalid_tool_call"]),
        (TOOLS, call('{"age"', "look"), "length", []),
        ({"tools": [{"type": "function", "function": {"name": "now"}}]}, call("", "now"), "tool_calls", []),
        ({"tools": [{"type": "custom", "custom": {"name": "look"}}]}, call("free text"), "tool_calls", []),
        ({**TOOLS, **WANTED}, call('{"age": 3}'), "tool_calls", []),
    ],
)
def test_what_an_answer_shows(request_: dict[str, Any], answer: Reading, finish: str, signals: list[str]) -> None:
    assert list(signals_in(request_, answer, finish)) == signals


@pytest.mark.parametrize(
    ("content", "failed"),
    [
        ("Error: no such file", True),
        ("ValueError: bad value", True),
        ("Traceback (most recent call last):\n  …", True),
        ("エラー: 見つかりません", True),
        ('{"error": "not found"}', True),
        ('{"isError": true, "content": []}', True),
        ([{"type": "text", "text": "The tool failed."}, {"type": "text", "text": "no such file"}], True),
        ("no errors were found", False),
        ("12 lines, the third one is: Error: no such file", False),
        ("Errors are values in Go.", False),
        ('{"error": null, "rows": 3}', False),
        ('{"error"', False),
        (None, False),
    ],
)
def test_a_tool_that_failed(content: Any, failed: bool) -> None:
    messages = [{"role": "assistant", "tool_calls": []}, {"role": "tool", "tool_call_id": "c1", "content": content}]
    assert list(failed_calls(messages)) == (["c1"] if failed else [])


def test_only_results_behind_the_last_answer_count() -> None:
    failure = {"role": "tool", "tool_call_id": "c1", "content": "Error: x"}
    assert list(failed_calls([failure, {"role": "user", "content": "Error: y"}])) == []
    assert list(failed_calls([failure, {**failure, "tool_call_id": "c2"}])) == ["c2", "c1"]


CALL = ToolCall("c1", "look", '{"age":3}')


def parts(*values: dict[str, Any]) -> list[bytes]:
    return [orjson.dumps(value) for value in values]


def choice(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, **fields}]}


TOOL_CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"age":3}'}}
MESSAGE = [{"type": "text", "text": "Hi"}, {"type": "tool_use", "id": "c1", "name": "look", "input": {"age": 3}}]
OUTPUT = [
    {"type": "reasoning"},
    {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]},
    {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"age":3}'},
]
ANSWERS: dict[str, tuple[list[bytes], bool, bool]] = {
    "chat": (parts(choice(message={"content": "Hi", "tool_calls": [TOOL_CALL]})), False, False),
    "chat, streamed": (
        parts(
            choice(delta={"role": "assistant", "content": "H"}),
            choice(delta={"content": "i", "tool_calls": [TOOL_CALL]}, finish_reason="tool_calls"),
            {"choices": [], "usage": {}},
        ),
        True,
        False,
    ),
    "messages": (parts({"content": MESSAGE}), False, True),
    "messages, streamed": (
        parts(
            {"type": "message_start", "message": {"content": []}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
            {"type": "content_block_start", "index": 1, "content_block": {**MESSAGE[1], "input": {}}},
            {
                "type": "content_block_delta",
                "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": '{"age":3}'},
            },
            {"type": "message_stop"},
        ),
        True,
        True,
    ),
    "responses": (parts({"output": OUTPUT}), False, True),
    "responses, streamed": (parts({"type": "response.completed", "response": {"output": OUTPUT}}), True, True),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_api_reads_the_same(name: str) -> None:
    payloads, streamed, native = ANSWERS[name]
    assert read_answer(payloads, streamed=streamed, native=native) == Reading("Hi", "", (CALL,))


def test_a_text_completion_is_text() -> None:
    assert read_answer(parts(choice(text="Hi")), streamed=False, native=False) == Reading("Hi")
