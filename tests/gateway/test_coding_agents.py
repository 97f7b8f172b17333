"""Command-line agents as clients, unchanged: each reads a file with its own tools, offline but for loopback."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import Running, Serve
from tests.gateway.test_python_sdk import frames
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream

AGENTS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "llm-router/agents/node_modules/.bin"
SECRET = "tulip-4711"
TASK = "Read the file note.txt and tell me the word in it."
ARGUMENTS: dict[str, dict[str, Any]] = {
    "Read": {"file_path": "note.txt"},
    "exec_command": {"cmd": "cat note.txt"},
    "shell_command": {"command": "cat note.txt"},
    "shell": {"command": ["cat", "note.txt"]},
}
"""What reads the file, by the names that agents give their tools."""


def reads_the_file(folder: Path) -> Any:
    """A model that calls the agent's tool, and repeats what it found."""

    def choose(body: Mapping[str, Any]) -> Script:
        results = [message for message in body["messages"] if message["role"] == "tool"]
        names = [tool["function"]["name"] for tool in body.get("tools") or ()]
        able = [name for name in ARGUMENTS if name in names]
        if results:
            found = json.dumps(results[-1]["content"])
            return Script(text=["The word is ", SECRET if SECRET in found else "unknown", "."])
        if not able:
            return Script(text=["A title"])
        arguments = dict(ARGUMENTS[able[0]])
        if "file_path" in arguments:
            arguments["file_path"] = str(folder / "note.txt")
        call = {"index": 0, "id": "call_1", "type": "function"}
        function = {"name": able[0], "arguments": json.dumps(arguments)}
        return Script(frames=frames({"tool_calls": [{**call, "function": function}]}, finish="tool_calls"))

    return choose


async def run(folder: Path, command: list[str], **variables: str) -> str:
    """Output of an agent that works in `folder`, which is its home, too."""
    assert AGENTS.is_dir(), "this test needs the agents: tests/tools/install-agents"
    inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    process = await asyncio.create_subprocess_exec(
        str(AGENTS / command[0]),
        *command[1:],
        cwd=folder,
        env={
            **inherited,
            **nowhere,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "HOME": str(folder),
            **variables,
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(240):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, output.decode() + errors.decode()
    return output.decode()


@pytest.fixture
async def gateway(serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, tmp_path: Path) -> Running:
    (tmp_path / "note.txt").write_text(SECRET)
    upstream.script_by(reads_the_file(tmp_path))
    return await serve(upstream, triton=triton, arm={"context_window": 200_000})


@pytest.mark.slow
async def test_claude_code(gateway: Running, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    output = await run(
        tmp_path,
        ["claude", "-p", TASK, "--model", "auto", "--allowedTools", "Read"],
        ANTHROPIC_BASE_URL=gateway.url,
        ANTHROPIC_API_KEY="any",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        DISABLE_AUTOUPDATER="1",
    )
    assert SECRET in output
    assert any(message["role"] == "tool" for message in upstream.requests[-1]["messages"])


@pytest.mark.slow
async def test_codex(gateway: Running, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    provider = {"name": "router", "base_url": f"{gateway.url}/v1", "wire_api": "responses", "env_key": "ROUTER_KEY"}
    inline = ", ".join(f"{name}={json.dumps(value)}" for name, value in provider.items())
    settings = [f"model_providers.router={{{inline}}}", 'model_provider="router"', 'web_search="disabled"']
    output = await run(
        tmp_path,
        [
            "codex",
            "exec",
            "--skip-git-repo-check",
            "--dangerously-bypass-approvals-and-sandbox",
            "--model=auto",
            *(word for setting in settings for word in ("-c", setting)),
            TASK,
        ],
        ROUTER_KEY="any",
    )
    assert SECRET in output
    assert any(message["role"] == "tool" for message in upstream.requests[-1]["messages"])
