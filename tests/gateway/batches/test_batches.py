"""Batches, as OpenAI's own SDK makes, follows and reads them."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from router_backend.state.store import Store
from tests.gateway.batches.conftest import CHAT, answered, begun, line, reached, rows
from tests.gateway.conftest import Running, Serve
from tests.gateway.test_responses import sdk
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream


async def test_every_line_is_answered_once(client: openai.AsyncOpenAI, gateway: Running) -> None:
    lines = [line(f"line {at}", f"Question {at}") for at in range(50)]
    made = await begun(client, lines, metadata={"night": "1"})
    assert (made.status, made.object, made.endpoint, made.completion_window) == ("validating", "batch", CHAT, "24h")
    assert made.expires_at == made.created_at + 86_400
    batch = await reached(client, made.id)
    assert (batch.status, batch.errors, batch.error_file_id) == ("completed", None, None)
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (50, 50, 0)
    assert batch.created_at <= batch.in_progress_at <= batch.finalizing_at <= batch.completed_at
    assert batch.metadata == {"night": "1"}
    found = await rows(client, batch.output_file_id)
    assert sorted(row["custom_id"] for row in found) == sorted(each["custom_id"] for each in lines)
    response = found[0]["response"]
    assert (response["status_code"], found[0]["error"]) == (200, None)
    assert response["body"]["choices"][0]["message"]["content"] == "Hello, world"
    decision = await gateway.http.get(f"/v1/decisions/{response['router']['decision_id']}")
    assert decision.json()["answer"]["status"] == 200  # decided and recorded as every request
    file = await client.files.retrieve(batch.output_file_id)
    assert (file.purpose, file.status) == ("batch_output", "processed")
    page = (await gateway.http.get("/metrics")).text
    assert 'llm_router_batch_lines_total{result="completed"} 50.0' in page
    assert 'llm_router_batches_total{status="completed"} 1.0' in page


@pytest.mark.parametrize(
    ("endpoint", "body", "text"),
    [
        ("/v1/responses", {"input": "hi"}, '"output"'),
        ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}, '"content"'),
    ],
)
async def test_lines_speak_any_api(client: openai.AsyncOpenAI, endpoint: Any, body: dict[str, Any], text: str) -> None:
    lines = [{"custom_id": "1", "method": "POST", "url": endpoint, "body": {"model": "auto", **body}}]
    batch = await reached(client, (await begun(client, lines, endpoint=endpoint)).id)
    assert batch.status == "completed"
    assert text in (await client.files.content(batch.output_file_id)).text


async def test_a_line_that_fails_is_among_the_errors(client: openai.AsyncOpenAI, upstream: ScriptedUpstream) -> None:
    refused = Script(status=400, error={"message": "no", "type": "invalid_request_error"})
    upstream.script_by(lambda body: refused if body["messages"][0]["content"] == "bad" else Script())
    lines = [line("good"), line("bad", "bad"), line("unknown", model="nobody"), line("stream", stream=True)]
    batch = await reached(client, (await begun(client, lines)).id)
    assert batch.status == "completed"
    assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 3)
    errors = {row["custom_id"]: row["response"] for row in await rows(client, batch.error_file_id)}
    assert {name: error["status_code"] for name, error in errors.items()} == {"bad": 400, "unknown": 404, "stream": 400}
    assert errors["unknown"]["body"]["error"]["code"] == "model_not_found"


async def test_an_upstream_that_is_away_for_a_while_costs_no_line(
    client: openai.AsyncOpenAI, upstream: ScriptedUpstream
) -> None:
    upstream.script(*[Script(status=503)] * 4, Script())
    batch = await reached(client, (await begun(client, [line("1")])).id)
    assert (batch.status, batch.request_counts.completed) == ("completed", 1)


async def test_wrong_lines_are_named(client: openai.AsyncOpenAI, upstream: ScriptedUpstream) -> None:
    good = line("a")
    lines = [
        good,
        b"{",
        {**good, "custom_id": "b", "url": "/v1/embeddings"},
        good,
        {**good, "custom_id": "c", "method": "GET"},
        {"custom_id": "d"},
        {**good, "custom_id": ""},
        {**good, "custom_id": "e", "body": []},
        b"",
        {**good, "custom_id": 7},
    ]
    batch = await reached(client, (await begun(client, lines)).id)
    assert (batch.status, batch.output_file_id, batch.error_file_id) == ("failed", None, None)
    assert [(error.line, error.code) for error in batch.errors.data] == [
        (2, "invalid_json_line"),
        (3, "invalid_url"),
        (4, "duplicate_custom_id"),
        (5, "invalid_method"),
        (6, "invalid_line"),
        (7, "invalid_custom_id"),
        (8, "invalid_body"),
        (10, "invalid_line"),
    ]
    assert not upstream.requests


@pytest.mark.parametrize("levels", [600, 5000])
async def test_a_line_that_is_nested_too_deeply_is_named(
    client: openai.AsyncOpenAI, upstream: ScriptedUpstream, levels: int
) -> None:
    deep = b'{"custom_id":"b","method":"POST","url":"/v1/chat/completions","body":{"a":%b%b}}'
    lines = [line("a"), deep % (b"[" * levels, b"]" * levels)]
    batch = await reached(client, (await begun(client, lines)).id)
    assert (batch.status, [(error.line, error.code) for error in batch.errors.data]) == (
        "failed",
        [(2, "invalid_json_line")],
    )
    assert "levels deep" in batch.errors.data[0].message
    assert not upstream.requests


async def test_a_batch_is_cancelled(client: openai.AsyncOpenAI, upstream: ScriptedUpstream) -> None:
    held = Script(latency=3600)
    upstream.script_by(lambda body: held if body["messages"][0]["content"] == "slow" else Script())
    lines = [line("quick"), *(line(f"slow {at}", "slow") for at in range(20))]
    made = await begun(client, lines)
    await upstream.wait_running(8, 60)
    while (await client.batches.retrieve(made.id)).request_counts.completed == 0:
        pass
    assert (await client.batches.cancel(made.id)).status == "cancelling"
    batch = await reached(client, made.id)
    assert batch.status == "cancelled"
    assert batch.in_progress_at <= batch.cancelling_at <= batch.cancelled_at
    await upstream.wait_running(0, 60)
    assert await answered(client, batch) == {each["custom_id"]: 1 for each in lines}
    assert {row["error"]["code"] for row in await rows(client, batch.error_file_id)} == {"batch_cancelled"}
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (21, 1, 20)
    with pytest.raises(openai.BadRequestError):
        await client.batches.cancel(made.id)


async def test_a_batch_expires(
    client: openai.AsyncOpenAI, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router_backend.gateway.batches.desk.WINDOW_SECONDS", 2)
    held = Script(latency=3600)
    upstream.script_by(lambda body: held if body["messages"][0]["content"] == "slow" else Script())
    batch = await reached(client, (await begun(client, [line("quick"), line("slow", "slow")])).id)
    assert batch.status == "expired"
    assert batch.expired_at
    (output,), (error,) = await rows(client, batch.output_file_id), await rows(client, batch.error_file_id)
    assert (output["custom_id"], error["custom_id"]) == ("quick", "slow")
    assert (error["error"]["code"], error["response"]) == ("batch_expired", None)


async def test_batches_are_listed(client: openai.AsyncOpenAI) -> None:
    made = [(await begun(client, [line("1")])).id for _ in range(5)]
    page = await client.batches.list(limit=2)
    assert ([each.id for each in page.data], page.has_more) == ([made[4], made[3]], True)
    assert [each.id async for each in client.batches.list(limit=2)] == made[::-1]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"endpoint": "/v1/audio/speech"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": {str(at): "x" for at in range(17)}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 5}}, "output_expires_after.seconds"),
    ],
)
async def test_what_no_batch_can_be(client: openai.AsyncOpenAI, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await begun(client, [line("1")], **fields)
    assert refused.value.param == param


async def test_a_batch_of_no_file(client: openai.AsyncOpenAI) -> None:
    for file_id in ("file-nothing", "../../x", f"file-{'0' * 32}"):
        with pytest.raises(openai.BadRequestError) as refused:
            await client.batches.create(input_file_id=file_id, endpoint=CHAT, completion_window="24h")
        assert refused.value.param == "input_file_id"
    for call in (client.batches.retrieve, client.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            await call("batch_nothing")


async def test_files_without_lines_and_with_too_many(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, store: Store, batches: dict[str, Any]
) -> None:
    gateway = await serve(upstream, triton=triton, batches={**batches, "max_lines": 2})
    async with sdk(gateway) as client:
        for lines, code in (([], "empty_file"), ([line(str(at)) for at in range(3)], "too_many_lines")):
            batch = await reached(client, (await begun(client, lines)).id)
            assert (batch.status, [error.code for error in batch.errors.data]) == ("failed", [code])


async def test_a_file_that_a_batch_reads_stays(client: openai.AsyncOpenAI, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(latency=3600))
    made = await begun(client, [line("1")])
    with pytest.raises(openai.BadRequestError) as refused:
        await client.files.delete(made.input_file_id)
    assert refused.value.code == "file_in_use"
    await client.batches.cancel(made.id)
    await reached(client, made.id)
    assert (await client.files.delete(made.input_file_id)).deleted
