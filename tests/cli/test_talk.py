"""`chat` against a server with the OpenAI surface."""

from __future__ import annotations

import asyncio
import os
import pty
import sys

from tests.support.scripted_upstream import Script, ScriptedUpstream


async def chat(url: str, error: int) -> str:
    """What `chat` prints; `error` is where its standard error goes."""
    command = [sys.executable, "-m", "router_backend.cli.main", "chat", "hi", "--url", url]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=error)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode().strip()


async def test_the_address_may_end_as_openai_clients_want_it() -> None:
    async with ScriptedUpstream() as upstream:
        for end in ("", "/", "/v1", "/v1/"):
            url = upstream.base_url.removesuffix("/v1") + end
            assert await chat(url, asyncio.subprocess.DEVNULL) == "Hello, world"


async def test_on_a_terminal_a_long_wait_is_said() -> None:
    terminal, error = pty.openpty()
    async with ScriptedUpstream() as upstream:
        upstream.script(Script(latency=3.0))
        assert await chat(upstream.base_url, error) == "Hello, world"
    assert "waiting for the answer" in os.read(terminal, 4096).decode()
    os.close(terminal)
    os.close(error)
