"""The official Node SDKs, and Vercel's AI SDK, as clients."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from tests.gateway.conftest import Serve
from tests.support.obedient_model import obey
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream

HERE = Path(__file__).parent / "node"


async def run(*command: str, folder: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Where the SDKs are installed, beside the programs that use them."""
    assert shutil.which("npm"), "this test needs Node.js: apt-get install nodejs npm"
    for file in HERE.glob("*.*"):
        shutil.copy(file, tmp_path)
    await run("npm", "install", "--no-audit", "--no-fund", "--silent", folder=tmp_path)
    return tmp_path


@pytest.mark.slow
async def test_responses_and_messages(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, folder: Path
) -> None:
    gateway = await serve(upstream, triton=triton)
    seen = json.loads(await run("node", "agents.mjs", gateway.url, folder=folder))
    assert seen["texts"] == ["Hello, world"] * 4
    assert seen["tokens"] == [3] * 4
    assert seen["failures"] == [["NotFoundError", 404, True]] * 2


@pytest.mark.slow
async def test_the_node_sdk_cannot_tell_the_difference(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton, folder: Path
) -> None:
    gateway = await serve(upstream, second, triton=triton)
    seen = json.loads(await run("node", "sdk.mjs", f"{gateway.url}/v1", folder=folder))
    assert seen["decision"] in triton.decisions
    assert (seen["model"], seen["text"], seen["streamed"]) == ("a", "Hello, world", "Hello, world")
    assert seen["usage"]["completion_tokens"] == 3
    assert seen["models"] == ["auto", "a", "b"]
    assert seen["failure"] == {
        "kind": "NotFoundError",
        "status": 404,
        "code": "model_not_found",
        "param": "model",
        "id": True,
    }


@pytest.mark.slow
async def test_vercels_ai_sdk(serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, folder: Path) -> None:
    upstream.script_by(obey)
    gateway = await serve(upstream, triton=triton, arm={"capabilities": ["tools", "json"]})
    seen = json.loads(await run("node", "vercel.mjs", gateway.url, folder=folder))
    expected = {
        "answer": "I have done it.",
        "tokens": 6,  # of two turns
        "asked": [42, 43],
        "streamed": "I have done it.",
        "typed": {"name": "Ulm", "people": 130_000},
        "refused": 404,
    }
    assert seen == {"chat": expected, "responses": expected, "messages": expected}
