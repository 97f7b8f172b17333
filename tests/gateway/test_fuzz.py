"""Malformed requests by the thousand: no 5xx, no hang, nothing left behind."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from router_backend.state.open import open_store
from tests.gateway.conftest import Running, Serve
from tests.gateway.test_outcomes import until_reported
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream

VALID: dict[str, Any] = {
    "model": "auto",
    "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    "stream": False,
    "max_tokens": 5,
    "temperature": 0.5,
    "stop": ["x"],
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "metadata": {"router_models": "a"},
    "user": "u",
    "stream_options": {"include_usage": True},
}
MESSAGES: dict[str, Any] = {
    "model": "auto",
    "max_tokens": 5,
    "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "hi"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                {"type": "document", "source": {"type": "text", "data": "d"}, "citations": {"enabled": False}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "t", "signature": ""},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "r"}]}],
        },
    ],
    "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    "metadata": {"user_id": "u", "router_models": "a"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015"}]},
    "stop_sequences": ["x"],
}
RESPONSES: dict[str, Any] = {
    "model": "auto",
    "instructions": "s",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}, {"type": "input_image", "image_url": "x"}]},
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "t"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "o"}, {"type": "refusal", "refusal": "n"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "r"}]},
        {"type": "custom_tool_call", "call_id": "d", "name": "p", "input": "i"},
        {"type": "custom_tool_call_output", "call_id": "d", "output": "r"},
    ],
    "tools": [
        {"type": "function", "name": "f", "parameters": {}},
        {"type": "custom", "name": "p", "format": {"type": "text"}},
    ],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "store": False,
    "metadata": {"router_models": "a"},
    "max_output_tokens": 5,
}
BODIES = {
    "/v1/messages": MESSAGES,
    "/v1/messages/count_tokens": MESSAGES,
    "/v1/responses": RESPONSES,
    "/v1/responses/input_tokens": RESPONSES,
}
JUNK: list[Any] = [
    None, True, -1, 0, 2**63, 2**64, 1e308, "", "auto", "a", "\u0000", "日本🎉" * 50, [], {}, [[]], [None], {"": None},
    {"type": "text"}, [{"role": "user"}], "x" * 70_000, ["auto"], {"include_usage": "no"}, -1e-320,
]  # fmt: skip
PATHS = (
    ("/v1/chat/completions",) * 4
    + (*BODIES, "/v1/messages")
    + ("/v1/chat/completions/input_tokens", "/v1/completions", "/v1/embeddings", "/v1/feedback", "/v1/route")
)


def mutated(value: Any, dice: random.Random) -> Any:
    """A copy with one change somewhere: a value replaced, removed, or doubled."""
    if isinstance(value, dict) and value and dice.random() < 0.8:
        key = dice.choice(list(value))
        copy = {**value, key: mutated(value[key], dice)}
        if dice.random() < 0.15:
            del copy[key]
        if dice.random() < 0.1:
            copy[str(dice.choice(JUNK))[:40]] = dice.choice(JUNK)
        return copy
    if isinstance(value, list) and value and dice.random() < 0.7:
        at = dice.randrange(len(value))
        return [*value[:at], mutated(value[at], dice), *value[at : at + dice.randrange(3)]]
    return dice.choice(JUNK)


def damaged(data: bytes, dice: random.Random) -> bytes:
    """Bytes of JSON with bytes of it changed, cut or repeated."""
    at = dice.randrange(len(data) + 1)
    kind = dice.randrange(4)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
    if kind == 2:
        return data[:at] + dice.choice([b"NaN", b"\\ud800", b"\xff", b"[" * 200, b"}", b"\x00", b"1e999"]) + data[at:]
    return data[:at] + data


async def fuzz(gateway: Running, count: int, seed: int) -> None:
    dice = random.Random(seed)

    async def one(path: str, content: bytes, headers: dict[str, str]) -> None:
        response = await gateway.http.post(path, content=content, headers=headers)
        assert response.status_code < 500, (path, content[:500], response.text)
        assert response.headers["x-request-id"]
        if response.status_code >= 400:
            fields = {"type", "message"} if path.startswith("/v1/messages") else {"message", "type", "param", "code"}
            assert response.json()["error"].keys() == fields

    for _ in range(count // 50):
        batch = []
        for _ in range(50):
            path = dice.choice(PATHS)
            body = BODIES.get(path, VALID)
            for _ in range(dice.randrange(1, 4)):
                body = mutated(body, dice)
            content = json.dumps(body).encode()
            if dice.random() < 0.3:
                content = damaged(content, dice)
            hint = {"x-router-max-cost": dice.choice(["", "1", "x"])} if dice.random() < 0.1 else {}
            batch.append(one(path, content, hint))
        async with asyncio.timeout(30):
            await asyncio.gather(*batch)


async def check_fuzz(serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, count: int) -> None:
    gateway = await serve(upstream, triton=triton, arm={"capabilities": ["tools", "vision", "json"]})
    await fuzz(gateway, 50, 0)
    tasks = len(asyncio.all_tasks())
    await fuzz(gateway, count, 1)
    assert upstream.running == 0
    await until_reported(gateway)
    assert len(asyncio.all_tasks()) <= tasks + 50  # connections that the client and the upstream keep open
    assert (await gateway.chat()).status_code == 200


async def test_malformed_requests_are_never_a_server_error(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    await check_fuzz(serve, upstream, triton, 500)


@pytest.mark.slow
async def test_ten_thousand_malformed_requests(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    await check_fuzz(serve, upstream, triton, 10_000)


@pytest.mark.slow
async def test_the_openapi_document_holds(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, tmp_path: Path
) -> None:
    triton.store = open_store("sqlite:///state.db", tmp_path)  # the console reads it
    gateway = await serve(upstream, triton=triton)
    schema = schemathesis.openapi.from_dict((await gateway.http.get("/openapi.json")).json())
    schema.config.update(base_url=gateway.url)

    def run() -> int:
        """In a thread: schemathesis calls synchronously."""
        calls = 0
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()

            @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy())
            def call(case: Any) -> None:
                nonlocal calls
                calls += 1
                checks = [not_a_server_error, response_schema_conformance, status_code_conformance]
                case.call_and_validate(checks=checks)

            call()
        return calls

    assert await asyncio.to_thread(run) > 300
