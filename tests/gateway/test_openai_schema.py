"""What only a scripted server brings about, against OpenAI's published document; tests/system has the real model's answers."""

from __future__ import annotations

import json

import pytest

from tests.gateway.conftest import Serve
from tests.gateway.test_python_sdk import CALLS, TOOLS, frames
from tests.support.openai_schema import CHAT, EMBEDDINGS, check_body, check_error, check_stream
from tests.support.scripted_upstream import Script, ScriptedUpstream


@pytest.mark.parametrize("name", ["auto", "a"])
async def test_embeddings(serve: Serve, upstream: ScriptedUpstream, name: str) -> None:
    gateway = await serve(upstream)
    answer = await gateway.http.post("/v1/embeddings", json={"model": name, "input": ["one", "two"]})
    assert answer.status_code == 200
    check_body(answer.json(), EMBEDDINGS)


async def test_tool_calls(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    upstream.script(Script(text=[], delta={"content": None, "tool_calls": CALLS}, finish="tool_calls"))
    whole = await gateway.chat(model="a", tools=TOOLS)
    check_body(whole.json(), CHAT)
    deltas = [{"tool_calls": [{**call, "index": place}]} for place, call in enumerate(CALLS)]
    upstream.script(Script(frames=frames({"role": "assistant", "content": None}, *deltas, finish="tool_calls")))
    streamed = await gateway.chat(model="a", tools=TOOLS, stream=True)
    assert len(check_stream(streamed.text, CHAT)) == len(deltas) + 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("script", "status"),
    [
        (Script(status=400, error={"message": "no such field"}), 400),
        (Script(status=422, error={"message": "x", "type": None, "param": 1, "code": 3}), 422),
        (Script(status=429), 429),
        (Script(status=500), 502),
        (Script(status=503), 503),
        (Script(status=401), 502),
        (Script(drop=True), 502),
        (Script(latency=5), 504),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
async def test_failures_of_models(
    serve: Serve, upstream: ScriptedUpstream, script: Script, status: int, stream: bool
) -> None:
    gateway = await serve(upstream, timeouts={"connect": 1, "first_token": 0.3, "idle": 0.3, "total": 0.3})
    upstream.script(script)
    answer = await gateway.chat(model="a", stream=stream)
    assert answer.status_code == status
    check_error(answer.json())


@pytest.mark.parametrize("end", [Script(cut_after=2), Script(frames=[b'data: {"error": "out of memory"}\n\n'])])
async def test_an_error_in_mid_stream(serve: Serve, upstream: ScriptedUpstream, end: Script) -> None:
    gateway = await serve(upstream)
    upstream.script(end)
    answer = await gateway.chat(model="a", stream=True)
    check_error(json.loads(answer.text.rstrip().rpartition("data: ")[2] if answer.status_code == 200 else answer.text))
