"""The smallest size on AWS: a function's container with models on Bedrock and its state in DynamoDB.

Lambda freezes a process at an answer's last byte, may end it then without a word, and gives the next one an empty disk.
"""

from __future__ import annotations

import asyncio
import shutil
import uuid
from pathlib import Path
from typing import Any

import httpx

from tests.gateway.test_in_process import Gateway
from tests.support.dynamodb_server import DynamoDBServer
from tests.support.scripted_bedrock import CREDENTIALS, REGION, ScriptedBedrock

PROMPT = "Write a Python function that sorts numbers"
ENVIRONMENT = {
    **CREDENTIALS,
    "LLM_ROUTER_HASH_KEY": "one for all functions",
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def arm(name: str, url: str, price: float) -> dict[str, Any]:
    return {
        "name": name,
        "upstream": {"kind": "bedrock", "model": f"{name}-v1:0", "endpoint_url": url},
        "price": {"input": price, "output": price},
        "context_window": 200_000,
    }


async def chat(http: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    body = {"model": "auto", "messages": [{"role": "user", "content": PROMPT}], **fields}
    answer = await http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer


async def means(http: httpx.AsyncClient) -> dict[str, float]:
    reply = await http.post("/v1/route", json={"messages": [{"role": "user", "content": PROMPT}]})
    found: dict[str, float] = reply.json()["means"]
    return found


async def test_a_function_answers_streams_learns_and_starts_again_with_what_it_knows(tmp_path: Path) -> None:
    table = DynamoDBServer().start(tmp_path / "dynamodb.log")
    try:
        async with ScriptedBedrock() as bedrock:
            gateway = Gateway(
                tmp_path,
                None,
                models=[arm("a", bedrock.url, 1.0), arm("b", bedrock.url, 2.0)],
                state=table.url(uuid.uuid4().hex),
                gateway={"durable_seconds": 30},
            )
            async with gateway.running(kill=True, **ENVIRONMENT) as http:
                assert (await chat(http)).json()["choices"][0]["message"]["content"] == "Hello, world"
                assert (await chat(http, stream=True)).text.endswith("data: [DONE]\n\n")
                before = await means(http)
                for _ in range(10):
                    answer = await chat(http)
                    given = {"decision_id": answer.headers["x-router-decision-id"], "score": 0.0}
                    scored = await http.post("/v1/feedback", json=given)
                    assert scored.json()["accepted"], scored.text
            shutil.rmtree(gateway.state_dir)
            async with gateway.running(kill=True, **ENVIRONMENT) as http, asyncio.timeout(60):
                while max((await means(http)).values()) > max(before.values()) - 0.05:
                    await asyncio.sleep(0.2)
            assert not bedrock.refused
    finally:
        table.kill()
