"""Tool calls as servers and clients really write them, on all three APIs: AstrBot #6661, agno #8880, and content that is null."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.gateway.conftest import Serve
from tests.gateway.test_peer_rows import PARAMETERS, Messages, Responses, stream, whole
from tests.gateway.test_python_sdk import frames
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
OTHER = {"id": "call_2", "type": "function", "function": {"name": "f", "arguments": '{"x":2}'}}
TOOLS = {"capabilities": ["tools"]}


class Chat:
    """OpenAI's older API: the upstream's own."""

    path = "/v1/chat/completions"
    tool: Mapping[str, Any] = {"type": "function", "function": {"name": "f", "parameters": PARAMETERS}}

    def body(self, said: Any, **fields: Any) -> dict[str, Any]:
        messages = [{"role": "user", "content": said}] if isinstance(said, str) else said
        return {"model": "a", "messages": messages, **fields}

    def calls(self, events: list[dict[str, Any]]) -> list[tuple[str, Any]]:
        names: dict[int, str] = {}
        pieces: dict[int, str] = {}
        for event in events:
            for delta in event["choices"][0]["delta"].get("tool_calls", ()) if event["choices"] else ():
                function = delta["function"]
                names.setdefault(delta["index"], function.get("name"))
                pieces[delta["index"]] = pieces.get(delta["index"], "") + function.get("arguments", "")
        return [(names[index], json.loads(text)) for index, text in pieces.items()]

    def whole_calls(self, answer: Mapping[str, Any]) -> list[tuple[str, Any]]:
        message = answer["choices"][0]["message"]
        assert message["content"] is None
        return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in message["tool_calls"]]

    def turns(self) -> list[dict[str, Any]]:
        """A question, a call without any text beside it, and what the tool said."""
        return [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "found"},
        ]


class ResponsesTools(Responses):
    def whole_calls(self, answer: Mapping[str, Any]) -> list[tuple[str, Any]]:
        items = answer["output"]
        assert all(item["type"] == "function_call" for item in items)  # no message with nothing in it
        return [(item["name"], json.loads(item["arguments"])) for item in items]

    def turns(self) -> list[dict[str, Any]]:
        call = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"x":1}'}
        output = {"type": "function_call_output", "call_id": "call_1", "output": "found"}
        return [{"role": "user", "content": "q"}, call, output]


class MessagesTools(Messages):
    def whole_calls(self, answer: Mapping[str, Any]) -> list[tuple[str, Any]]:
        blocks = answer["content"]
        assert all(block["type"] == "tool_use" for block in blocks)
        return [(block["name"], block["input"]) for block in blocks]

    def turns(self) -> list[dict[str, Any]]:
        call = {"type": "tool_use", "id": "call_1", "name": "f", "input": {"x": 1}}
        result = {"type": "tool_result", "tool_use_id": "call_1", "content": "found"}
        return [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ]


Api = Chat | ResponsesTools | MessagesTools


@pytest.fixture(params=[Chat, ResponsesTools, MessagesTools])
def api(request: pytest.FixtureRequest) -> Api:
    made: Api = request.param()
    return made


@pytest.mark.parametrize("whole_at_once", [True, False], ids=["in one piece", "in pieces"])
async def test_an_index_that_is_used_twice_is_two_calls(
    serve: Serve, upstream: ScriptedUpstream, api: Any, whole_at_once: bool
) -> None:
    deltas: list[dict[str, Any]] = []
    for call in (CALL, OTHER):
        name, arguments = call["function"]["name"], call["function"]["arguments"]  # type: ignore[index]
        if whole_at_once:
            deltas.append({**call, "index": 0})
        else:
            deltas.append({**call, "index": 0, "function": {"name": name, "arguments": ""}})
            deltas += [{"index": 0, "function": {"arguments": piece}} for piece in (arguments[:3], arguments[3:])]
    upstream.script(Script(frames=frames(*({"tool_calls": [delta]} for delta in deltas), finish="tool_calls")))
    gateway = await serve(upstream, arm=TOOLS)
    assert api.calls(await stream(gateway, api, tools=[api.tool])) == [("f", {"x": 1}), ("f", {"x": 2})]


async def test_a_whole_answer_of_calls_has_no_text(serve: Serve, upstream: ScriptedUpstream, api: Any) -> None:
    upstream.script(Script(text=[], delta={"content": None, "tool_calls": [CALL, OTHER]}, finish="tool_calls"))
    gateway = await serve(upstream, arm=TOOLS)
    answer = await whole(gateway, api, tools=[api.tool])
    assert answer.status_code == 200, answer.text
    assert api.whole_calls(answer.json()) == [("f", {"x": 1}), ("f", {"x": 2})]


async def test_streamed_calls_beside_null_content_have_no_text(
    serve: Serve, upstream: ScriptedUpstream, api: Any
) -> None:
    deltas = [{"role": "assistant", "content": None}, {"content": None, "tool_calls": [{**CALL, "index": 0}]}]
    upstream.script(Script(frames=frames(*deltas, finish="tool_calls")))
    gateway = await serve(upstream, arm=TOOLS)
    events = await stream(gateway, api, tools=[api.tool])
    assert api.calls(events) == [("f", {"x": 1})]
    assert not any('"null"' in json.dumps(event) or '"None"' in json.dumps(event) for event in events)


@pytest.mark.parametrize("model", ["a", "auto"])
async def test_a_turn_of_calls_alone_goes_on_as_null_content(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, api: Any, model: str
) -> None:
    """Some servers refuse an empty text there, and NVIDIA's v1 classified it in place of the question."""
    gateway = await serve(upstream, triton=triton, arm=TOOLS)
    answer = await whole(gateway, api, api.turns(), model=model, tools=[api.tool])
    assert answer.status_code == 200, answer.text
    question, call, result = upstream.requests[0]["messages"]
    assert (question["role"], question["content"]) == ("user", "q")
    assert call.get("content") is None
    (sent,) = call["tool_calls"]
    assert (sent["id"], sent["function"]["name"], json.loads(sent["function"]["arguments"])) == (
        "call_1",
        "f",
        {"x": 1},
    )
    assert (result["role"], result["tool_call_id"], result["content"]) == ("tool", "call_1", "found")
    if model == "auto":
        (asked,) = triton.asked
        assert "q" in json.dumps(asked["request"])
