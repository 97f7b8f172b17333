"""Lines of models on Bedrock go to its batch inference, through a bucket; a server of ours checks them by AWS's own models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import openai
import pytest

from router_backend.config.models import ModelConfig
from router_backend.forwarding.upstreams.batches.api import BatchAPI, BatchAPIError
from router_backend.forwarding.upstreams.batches.open import batch_api
from router_backend.gateway.batches import courier
from router_backend.state.store import Store
from tests.gateway.batches.conftest import answered, begun, line, reached, rows
from tests.gateway.conftest import Running, Serve
from tests.support.arms import model
from tests.support.bedrock_jobs import BedrockJobs, Record, failed, said
from tests.support.moto_s3 import bucket, keys
from tests.support.scripted_bedrock import REGION, ScriptedBedrock
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream

BUCKET = "jobs"
ROLE = "arn:aws:iam::111122223333:role/llm-router-bedrock-batch"
POINT = {"cache_control": {"type": "ephemeral"}}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "POLL_SECONDS", (0.02, 0.02))
    monkeypatch.setattr(courier, "PAUSES", (0.05, 0.05))


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with bucket(BUCKET, monkeypatch) as client:
        yield client


@pytest.fixture
async def jobs(s3: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BedrockJobs]:
    async with BedrockJobs(s3, least=3) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", found.url)
        yield found
    assert not found.mistakes


@pytest.fixture
async def bedrock(s3: Any) -> AsyncIterator[ScriptedBedrock]:
    """Where single requests go."""
    async with ScriptedBedrock() as server:
        yield server


@pytest.fixture
def arm(bedrock: ScriptedBedrock) -> dict[str, Any]:
    there = {"kind": "bedrock", "model": "eu.amazon.nova-pro-v1:0", "region": REGION, "endpoint_url": bedrock.url}
    return {
        "upstream": {**there, "cache_points": ["system"]},
        "batch": {"place": f"s3://{BUCKET}/router", "role_arn": ROLE, "min_lines": 3},
        "capabilities": ["tools"],
    }


@pytest.fixture
async def gateway(
    serve: Serve,
    upstream: ScriptedUpstream,
    arm: dict[str, Any],
    jobs: BedrockJobs,
    triton: ScriptedTriton,
    store: Store,
    batches: dict[str, Any],
) -> Running:
    return await serve(upstream, triton=triton, batches=batches, arm=arm)


@pytest.fixture
def api(arm: dict[str, Any], jobs: BedrockJobs) -> BatchAPI:
    found = batch_api(ModelConfig.model_validate(model("a", "") | arm), 2.0)
    assert found
    return found


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not met():
            await asyncio.sleep(0.01)


def asked(record: Record) -> str:
    return str(record["modelInput"]["messages"][-1]["content"][-1]["text"])


async def test_lines_go_there_together_at_half_the_price(
    client: openai.AsyncOpenAI,
    gateway: Running,
    jobs: BedrockJobs,
    bedrock: ScriptedBedrock,
    triton: ScriptedTriton,
    s3: Any,
) -> None:
    lines = [line(f"line {at}", f"Question {at}") for at in range(12)]
    batch = await reached(client, (await begun(client, lines)).id)
    assert (batch.status, batch.request_counts.completed, batch.error_file_id) == ("completed", 12, None)
    found = {row["custom_id"]: row["response"] for row in await rows(client, batch.output_file_id)}
    assert found["line 7"]["body"]["choices"][0]["message"]["content"] == "Re: Question 7"
    assert found["line 7"]["body"]["usage"]["total_tokens"] == 10
    assert not bedrock.requests
    (job,) = jobs.jobs.values()
    assert (job["modelId"], job["modelInvocationType"], job["roleArn"]) == ("eu.amazon.nova-pro-v1:0", "Converse", ROLE)
    decision = found["line 7"]["router"]["decision_id"]
    await gateway.app.outcomes.settled(decision, 60)
    assert triton.outcomes[decision]["cost"] == pytest.approx(0.5 * (7 * 1e-6 + 3 * 2e-6))
    await until(lambda: not keys(s3, BUCKET))  # nothing stays there


async def test_tools_systems_and_thoughts_are_said_without_marks_for_caches(
    client: openai.AsyncOpenAI, jobs: BedrockJobs
) -> None:
    records: list[Record] = []

    def answer(record: Record) -> Record:
        records.append(record)
        return said(record)

    jobs.answer = answer
    talk = [
        {"role": "system", "content": [{"type": "text", "text": "Be short.", **POINT}]},
        {"role": "user", "content": "hi"},
    ]
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    more = {"messages": talk, "tools": tools, "max_tokens": 50, "temperature": 0.5}
    batch = await reached(client, (await begun(client, [line(str(at), **more) for at in range(3)])).id)
    assert batch.request_counts.completed == 3
    said_of = records[0]["modelInput"]
    assert said_of["system"] == [{"text": "Be short."}]
    assert said_of["messages"] == [{"role": "user", "content": [{"text": "hi"}]}]
    assert said_of["inferenceConfig"] == {"maxTokens": 50, "temperature": 0.5}
    (tool,) = said_of["toolConfig"]["tools"]
    assert tool["toolSpec"]["name"] == "look"
    assert "cachePoint" not in json.dumps(records)


async def test_too_few_lines_run_in_idle_capacity(
    client: openai.AsyncOpenAI, jobs: BedrockJobs, bedrock: ScriptedBedrock, triton: ScriptedTriton
) -> None:
    batch = await reached(client, (await begun(client, [line("1"), line("2")])).id)
    assert (batch.status, batch.request_counts.completed) == ("completed", 2)
    assert (len(bedrock.requests), len(triton.asked), jobs.jobs) == (2, 2, {})


async def test_records_that_failed_or_were_not_reached_come_back(
    client: openai.AsyncOpenAI, jobs: BedrockJobs, bedrock: ScriptedBedrock, triton: ScriptedTriton
) -> None:
    special = {"bad": failed, "left": lambda record: None}
    jobs.answer = lambda record: special.get(asked(record), said)(record)
    lines = [*(line(str(at)) for at in range(4)), line("bad", "bad"), line("left", "left")]
    batch = await reached(client, (await begun(client, lines)).id)
    assert (batch.status, batch.request_counts.completed) == ("completed", 6)
    assert await answered(client, batch) == {each["custom_id"]: 1 for each in lines}
    assert {job["status"] for job in jobs.jobs.values()} == {"PartiallyCompleted"}
    assert sorted(request["messages"][0]["content"][0]["text"] for request in bedrock.requests) == ["bad", "left"]
    assert len(triton.asked) == 6  # by the decisions that were made


async def test_a_job_that_fails_costs_no_line(
    client: openai.AsyncOpenAI, jobs: BedrockJobs, bedrock: ScriptedBedrock
) -> None:
    jobs.least = 1000
    batch = await reached(client, (await begun(client, [line(str(at)) for at in range(4)])).id)
    assert (batch.status, batch.request_counts.completed, len(bedrock.requests)) == ("completed", 4, 4)


@pytest.mark.parametrize(
    ("answer", "sent"),
    [((429, "ThrottlingException"), 0), ((500, "InternalServerException"), 0), ((403, "AccessDeniedException"), 4)],
)
async def test_refusals_that_may_pass_are_waited_for(
    client: openai.AsyncOpenAI, jobs: BedrockJobs, bedrock: ScriptedBedrock, answer: tuple[int, str], sent: int
) -> None:
    jobs.refuse = [answer]
    batch = await reached(client, (await begun(client, [line(str(at)) for at in range(4)])).id)
    assert (batch.request_counts.completed, len(bedrock.requests)) == (4, sent)


async def test_a_cancellation_stops_the_job(client: openai.AsyncOpenAI, jobs: BedrockJobs, s3: Any) -> None:
    jobs.hold = True
    jobs.answer = lambda record: said(record) if asked(record) == "quick" else None
    made = await begun(client, [line("quick", "quick"), *(line(str(at)) for at in range(3))])
    await until(lambda: "InProgress" in {job["status"] for job in jobs.jobs.values()})
    await client.batches.cancel(made.id)
    batch = await reached(client, made.id)
    assert batch.status == "cancelled"
    assert [row["custom_id"] for row in await rows(client, batch.output_file_id)] == ["quick"]  # it is paid for
    assert {job["status"] for job in jobs.jobs.values()} == {"Stopped"}
    await until(lambda: not keys(s3, BUCKET))


async def pieces() -> AsyncIterator[bytes]:
    record = {"recordId": "00000000001", "modelInput": {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}}
    for _ in range(3):
        yield json.dumps(record).encode() + b"\n"


class TestOneJobOfOnePart:
    """Whoever was killed between making a job and noting it."""

    NAME = "part-0123456789abcdef0123456789abcdef"

    async def test_a_second_request_makes_no_second_job(self, api: BatchAPI, jobs: BedrockJobs) -> None:
        file_id = await api.upload(f"{self.NAME}.jsonl", 0, pieces)
        first = await api.create(file_id, "converse", self.NAME)
        assert await api.create(file_id, "converse", self.NAME) == first
        found = await api.find(self.NAME)
        assert found
        assert (found.id, len(jobs.jobs)) == (first.id, 1)
        assert await api.find(self.NAME.replace("0", "1")) is None

    async def test_a_job_whose_file_was_closed_fails(self, api: BatchAPI, jobs: BedrockJobs) -> None:
        file_id = await api.upload(f"{self.NAME}.jsonl", 0, pieces)
        await api.close(file_id)
        await api.close(file_id)
        made = await api.create(file_id, "converse", self.NAME)
        while not (found := await api.retrieve(made.id)).ended:
            pass
        assert found.status == "failed"
        assert "get-model-invocation-job" in found.causes

    async def test_what_is_gone_is_told_apart(self, api: BatchAPI) -> None:
        with pytest.raises(BatchAPIError) as refused:
            await api.retrieve("arn:aws:bedrock:eu-central-1:111122223333:model-invocation-job/000000000000")
        assert (refused.value.gone, refused.value.passing) == (True, False)
