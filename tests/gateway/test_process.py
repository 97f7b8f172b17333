"""The gateway as a process: `python -m router_backend.gateway`, its signals, TLS, refusals to start."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.gateway.test_streaming import events, text_of
from tests.support.arms import model
from tests.support.running import PROJECT, clean_environment, free_port
from tests.support.scripted_upstream import Script, ScriptedUpstream


class GatewayProcess:
    """Started on a free port with the given router.yaml."""

    def __init__(self, folder: Path, upstream: ScriptedUpstream) -> None:
        self.config, self.port, self._upstream = folder / "router.yaml", free_port(), upstream

    def write(self, *names: str, **sections: Any) -> None:
        models = [model(name, self._upstream.base_url) for name in names]
        config = {"version": 1, "models": models, "default_model": names[0], **sections}
        self.config.write_text(yaml.safe_dump(config))

    async def start(self, *flags: str, **variables: str) -> asyncio.subprocess.Process:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "router_backend.gateway", "--config", str(self.config)),
            *("--port", str(self.port), "--triton-url", "127.0.0.1:9", *flags),
            cwd=PROJECT,
            env={**clean_environment(), **variables},
            stderr=asyncio.subprocess.PIPE,
        )
        return self.process

    async def until_live(self, http: httpx.AsyncClient) -> None:
        async with asyncio.timeout(120):
            while True:
                try:
                    await http.get("/health/live")
                    return
                except httpx.TransportError:  # nobody listens yet, or one that was killed had the connection
                    await asyncio.sleep(0.05)


@pytest.fixture
async def gateway(tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[GatewayProcess]:
    made = GatewayProcess(tmp_path, upstream)
    yield made
    if made.process.returncode is None:
        made.process.kill()
        await made.process.communicate()


async def test_sighup_reloads_and_sigterm_lets_running_answers_end(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    upstream.script(Script(text=["a"] * 6, delay=0.1))
    gateway.write("a")
    process = await gateway.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", timeout=30, trust_env=False) as http:
        await gateway.until_live(http)
        gateway.write("a", "late")
        process.send_signal(1)
        async with asyncio.timeout(10):
            while (await http.get("/v1/models/late")).status_code != 200:
                await asyncio.sleep(0.02)
        body = {"model": "late", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        running = asyncio.create_task(http.post("/v1/chat/completions", json=body))
        await upstream.wait_running()
        process.terminate()
        chunks = events((await running).text)
    assert text_of(chunks) == "a" * 6
    assert chunks[-1] == "[DONE]"
    await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [(("--host", "0.0.0.0"), "llm-router keys new"), (("--config", "/nowhere/router.yaml"), "/nowhere/router.yaml")],
)
async def test_a_start_that_can_not_be_says_why(gateway: GatewayProcess, flags: tuple[str, ...], said: str) -> None:
    gateway.write("a")
    process = await gateway.start(*flags)
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    assert said in errors.decode()
    assert "Traceback" not in errors.decode()


async def test_tls(gateway: GatewayProcess, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    openssl = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await openssl.wait() == 0
    gateway.write("a", security={"tls": {"certificate": str(certificate), "key": str(key)}})
    await gateway.start()
    context = ssl.create_default_context(cafile=str(certificate))
    async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{gateway.port}", verify=context, trust_env=False) as http:
        await gateway.until_live(http)
        body = {"model": "a", "messages": [{"role": "user", "content": "hi"}]}
        assert (await http.post("/v1/chat/completions", json=body)).status_code == 200


@pytest.mark.parametrize("form", ["json", "text"])
async def test_all_lines_of_the_log_have_one_form(
    gateway: GatewayProcess, upstream: ScriptedUpstream, form: str
) -> None:
    upstream.script(Script(text=["a"]))
    gateway.write("a")
    process = await gateway.start(LLM_ROUTER_LOG=form)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", timeout=30, trust_env=False) as http:
        await gateway.until_live(http)
        body = {"model": "a", "messages": [{"role": "user", "content": "Hi"}]}
        assert (await http.post("/v1/chat/completions", json=body)).status_code == 200
    process.terminate()
    _, written = await process.communicate()
    lines = written.decode().splitlines()
    if form == "text":
        assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S* [A-Z]+ ", line) for line in lines), lines
        assert any("POST /v1/chat/completions 200 in " in line and " model=a " in line for line in lines), lines
        return
    rows = [json.loads(line) for line in lines]
    assert {"info"} <= {row["level"] for row in rows}
    assert any(row.get("route") == "/v1/chat/completions" for row in rows)
    assert any("message" in row for row in rows)
