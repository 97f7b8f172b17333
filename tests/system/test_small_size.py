"""The container of the small size as Lambda starts it: its own entry point and command, configuration out of SSM, state in DynamoDB
(both moto's), the example's router.yaml. Lambda's adapter, which only passes requests on, isn't here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import botocore.session
import httpx
import openai
import pytest
import yaml
from moto.server import ThreadedMotoServer

from tests.support.dynamodb_server import CREDENTIALS, DynamoDBServer
from tests.support.running import PROJECT, clean_environment, free_port
from tests.support.scripted_upstream import Script, ScriptedUpstream

KEY, HASH = "app", "a172cedcae47474b615c54d510a5d84a8dea3032e958587430b413538be3f333"
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
ASKED: list[Any] = [{"role": "user", "content": "Write a Python function that sorts numbers"}]


def words() -> list[str]:
    """Entry point and command of the image."""
    stage = DOCKERFILE.partition("FROM gateway AS lambda")[2]
    found = [json.loads(re.search(rf"^{name} (\[.*\])$", stage, re.MULTILINE)[1]) for name in ("ENTRYPOINT", "CMD")]  # type: ignore[index]
    return [*found[0], *found[1]]


def router_yaml(state: str, upstream: str, keys: dict[str, str]) -> str:
    """The example's, with a server of this machine for Bedrock."""
    text = (PROJECT / "deploy/terraform/examples/small/router.yaml.tftpl").read_text()
    listed = "".join(f'    - {{name: {name}, sha256: "{sha256}"}}\n' for name, sha256 in keys.items())
    text = re.sub(r"%\{ for .*%\{ endfor ~\}\n", listed, text, flags=re.DOTALL)
    for name, value in {"state": state, "geography": "eu", "namespace": "llm-router", "region": "eu-central-1"}.items():
        text = text.replace(f"${{{name}}}", value)
    config = yaml.safe_load(text)
    for model in config["models"]:
        model["upstream"] = {"kind": "openai", "base_url": upstream, "model": model["name"]}
    config["security"]["api_keys"] = config["security"]["api_keys"] or []
    config["routing"]["deadline_ms"] = 10_000  # this machine is busy
    return yaml.safe_dump(config)


@pytest.fixture(scope="module")
def ssm() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    server.stop()


@pytest.fixture
def table(tmp_path: Path) -> Iterator[str]:
    server = DynamoDBServer().start(tmp_path / "dynamodb.log")
    yield server.url("llm-router")
    server.kill()


class Function:
    """Instances of it: each has its own files, and they share the table."""

    def __init__(self, folder: Path, ssm: str) -> None:
        self._folder, self._ssm, self.log = folder, ssm, folder / "log"
        self.port, self._instances = free_port(), 0
        self._environment = {
            **clean_environment(),
            **CREDENTIALS,
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ENDPOINT_URL_SSM": ssm,
            "LLM_ROUTER_CONFIG_PARAMETER": f"/{folder.name}/router.yaml",
            "LLM_ROUTER_HASH_KEY": "one for all instances",
        }

    def configure(self, text: str) -> None:
        session = botocore.session.Session()
        session.set_credentials("test", "test")
        client = session.create_client("ssm", region_name="eu-central-1", endpoint_url=self._ssm)
        client.put_parameter(Name=f"/{self._folder.name}/router.yaml", Value=text, Type="SecureString", Overwrite=True)

    async def start(self) -> asyncio.subprocess.Process:
        self._instances += 1
        own = self._folder / f"instance{self._instances}"
        own.mkdir()
        command = [word.replace("/tmp/", f"{own}/") for word in words()]
        command[0] = command[command.index("python")] = sys.executable
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *command,
                *("--port", str(self.port)),
                cwd=PROJECT,
                env={
                    **self._environment,
                    "LLM_ROUTER_CONFIG": f"{own}/router.yaml",
                    "LLM_ROUTER_STATE_DIR": f"{own}/llm-router",
                },
                stderr=log,
            )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[httpx.AsyncClient]:
        """An instance, which is killed as Lambda does it: without a word."""
        process = await self.start()
        url, headers = f"http://127.0.0.1:{self.port}", {"authorization": f"Bearer {KEY}"}
        try:
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False) as http:
                async with asyncio.timeout(120):
                    while not await ready(http):
                        assert process.returncode is None, self.log.read_text()[-3000:]
                        await asyncio.sleep(0.05)
                yield http
        finally:
            process.kill()
            await process.wait()

    def lines(self) -> list[dict[str, Any]]:
        """Of the log that CloudWatch reads metrics out of."""
        return [
            json.loads(line) for line in self.log.read_text().splitlines() if line.startswith('{"') and "_aws" in line
        ]


async def ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/health/ready")).status_code == 200
    except httpx.HTTPError:
        return False


async def means(http: httpx.AsyncClient) -> dict[str, float]:
    """What is expected of each model for a prompt like the one that was asked."""
    reply = await http.post("/v1/route", json={"messages": ASKED})
    found: dict[str, float] = reply.json()["means"]
    return found


async def command(*words: str) -> None:
    """One of `llm-router`'s."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router_backend.cli.main", *words),
        cwd=PROJECT,
        env={**clean_environment(), **CREDENTIALS},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, said.decode()


async def test_it_answers_streams_learns_and_comes_back_with_what_it_knows(
    tmp_path: Path, ssm: str, table: str
) -> None:
    async with ScriptedUpstream() as upstream:
        function = Function(tmp_path, ssm)
        function.configure(router_yaml(table, upstream.base_url, {"my-app": HASH}))
        async with function.running() as http:
            bare = httpx.AsyncClient(base_url=http.base_url, trust_env=False)
            assert (
                await bare.post("/v1/chat/completions", json={"model": "auto", "messages": ASKED})
            ).status_code == 401
            await bare.aclose()
            client = openai.AsyncOpenAI(base_url=f"{http.base_url}/v1", api_key=KEY, max_retries=0)
            upstream.script(Script(text=["Hel", "lo"]))
            stream = await client.chat.completions.create(model="auto", messages=ASKED, stream=True)
            assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]) == "Hello"
            before = await means(http)
            for _ in range(12):
                answer = await client.chat.completions.with_raw_response.create(model="auto", messages=ASKED)
                assert answer.headers["x-router-reason"].startswith(("policy", "explore")), answer.headers
                score = {"decision_id": answer.headers["x-router-decision-id"], "score": 0.0, "task": "code_generation"}
                reply = await http.post("/v1/feedback", json=score)
                assert reply.status_code == 200, reply.text
            await client.close()
        metrics = {
            name for line in function.lines() for name in line if name in ("decision_ms", "tokens", "task_correct")
        }
        assert metrics == {"decision_ms", "tokens", "task_correct"}
        async with (
            function.running() as http,
            asyncio.timeout(60),
        ):  # another instance: nothing of the first is left but the table
            while max((await means(http)).values()) > max(before.values()) - 0.05:
                await asyncio.sleep(0.1)

        # Exported, and imported by the next size: both decide alike.
        next_table = table.replace("//llm-router?", "//llm-router-2?")
        (tmp_path / "next").mkdir()
        following = Function(tmp_path / "next", ssm)
        following.configure(router_yaml(next_table, upstream.base_url, {"my-app": HASH}))
        for word, place in (("export", table), ("import", next_table)):
            file = tmp_path / f"{word}.yaml"
            file.write_text(router_yaml(place, upstream.base_url, {"my-app": HASH}))
            await command("state", word, str(tmp_path / "learned.jsonl.gz"), "--config", str(file))
        async with function.running() as http, following.running() as other, asyncio.timeout(120):
            while (learned := await means(http)) != pytest.approx(await means(other), abs=1e-6):
                await asyncio.sleep(0.1)
            assert max(learned.values()) < max(before.values())


async def test_without_keys_it_does_not_start(tmp_path: Path, ssm: str, table: str) -> None:
    function = Function(tmp_path, ssm)
    function.configure(router_yaml(table, "http://127.0.0.1:9/v1", {}))
    process = await function.start()
    assert await asyncio.wait_for(process.wait(), 120) == 2
    assert "llm-router keys new" in function.log.read_text()


def test_the_image_starts_what_the_tests_start() -> None:
    assert words()[:4] == ["python", "-m", "router_backend.launcher.from_aws", "--"]
    assert "--allow-unauthenticated" not in words()
    assert os.path.basename(words()[words().index("--config") + 1]) == "router.yaml"
