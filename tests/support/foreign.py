"""Other people's clients and test suites, in the environments that tests/tools/install-clients makes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

CLIENTS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "llm-router/clients"
_SECONDS = 240  # far more than any of them needs


async def run(environment: str, *command: str, folder: Path, **variables: str) -> str:
    """Output of one of an environment's programs, which must end with 0; `folder` is its home, loopback its only network."""
    programs = CLIENTS / environment / "bin"
    assert programs.is_dir(), f"this test needs the clients of {environment}.txt: tests/tools/install-clients"
    inherited = {"PATH": f"{programs}:{os.environ['PATH']}", "LANG": "C.UTF-8"}
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    loopback = dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost")
    process = await asyncio.create_subprocess_exec(
        str(programs / command[0]),
        *command[1:],
        cwd=folder,
        env={**inherited, **nowhere, **loopback, "HOME": str(folder), **variables},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, output.decode() + errors.decode()
    return output.decode()
