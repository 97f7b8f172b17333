"""Other people's test suites and agents, unchanged, on a gateway whose model does what it is asked for."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.gateway.conftest import Running, Serve
from tests.support.foreign import run
from tests.support.obedient_model import obey
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream

HERE = Path(__file__).parent / "foreign"
pytestmark = pytest.mark.slow


@pytest.fixture
async def gateway(serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton) -> Running:
    upstream.script_by(obey)
    return await serve(upstream, triton=triton, arm={"capabilities": ["tools", "vision", "json"]})


async def test_langchains_standard_tests(gateway: Running, tmp_path: Path) -> None:
    output = await run("connectors", "python", str(HERE / "langchain_suite.py"), folder=tmp_path, GATEWAY=gateway.url)
    passed = re.search(r"(\d+) passed", output)
    assert passed
    assert int(passed[1]) == 3 * 43, output  # skipped are what needs a download or a model that hears


async def test_an_agent_of_pydantic_ai(gateway: Running, tmp_path: Path) -> None:
    seen = json.loads(await run("connectors", "python", str(HERE / "agent.py"), folder=tmp_path, GATEWAY=gateway.url))
    expected = {
        "answer": "I have done it.",
        "tokens": 6,  # of two turns
        "asked": [42],
        "typed": {"name": "Ulm", "people": 130_000},
        "native": {"name": "Ulm", "people": 130_000},
        "streamed": "I have done it.",
        "refused": 404,
    }
    assert seen == {"OpenAIChatModel": expected, "OpenAIResponsesModel": expected}


async def test_an_agent_of_openais_agents_sdk(gateway: Running, tmp_path: Path) -> None:
    seen = json.loads(await run("agents", "python", str(HERE / "agents_sdk.py"), folder=tmp_path, GATEWAY=gateway.url))
    expected = {
        "answer": "I have done it.",
        "tokens": 6,  # of two turns
        "again": "I have done it.",
        "asked": [42, 43, 44],
        "typed": {"name": "Ulm", "people": 130_000},
        "handed": ["expert", "I have done it."],
        "streamed": "I have done it.",
        "refused": 404,
    }
    assert seen == {"OpenAIChatCompletionsModel": expected, "OpenAIResponsesModel": expected}


@pytest.mark.skipif(not shutil.which("javac"), reason="no JDK is here; test_connections.py sends what its client sends")
async def test_the_jdks_http_client(gateway: Running, upstream: ScriptedUpstream) -> None:
    program = str(Path(__file__).parent / "java/Client.java")
    process = await asyncio.create_subprocess_exec("java", program, gateway.url, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    lines = output.decode().splitlines()
    assert process.returncode == 0, output
    assert [line for line in lines if line.startswith("200")] == ["200 HTTP_1_1"] * 2
    assert lines[-1] == "data: [DONE]"
    assert [request["messages"][0]["content"] for request in upstream.requests] == ["hé" * 40_000] * 2
