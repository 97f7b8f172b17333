"""Upstreams behind a corporate proxy: a real CONNECT tunnel, and which hosts are asked directly."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from router_backend.forwarding.upstreams.proxies import proxy_for
from router_backend.forwarding.upstreams.tensorrtllm.server import channel_options
from tests.support.scripted_upstream import ScriptedUpstream

PROJECT = Path(__file__).resolve().parents[3]
PROXY = "http://proxy.example.com:3128"
CLIENT = """
import asyncio
import json
from router_backend.forwarding.engine import build_engine
from tests.support.arms import model, router_config
from tests.support.asking import ask

async def main():
    engine = build_engine(router_config([model("a", "https://llm.example.com/v1")]))
    answer = await engine.forward(ask("a"))
    print(json.loads(answer.body)["choices"][0]["message"]["content"])
    await engine.aclose()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://integrate.api.nvidia.com/v1", PROXY),
        ("http://llm.example.org:8000/v1", None),  # HTTP_PROXY isn't set
        ("https://llm.corp.example.com/v1", None),
        ("https://router-llm-router-llama3-8b:8000/v1", None),
        ("https://localhost:8000/v1", None),
        ("https://127.0.0.1:8000/v1", None),
        ("https://[::1]:8000/v1", None),
    ],
)
def test_which_hosts_are_asked_through_the_proxy(url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", ".corp.example.com,router-llm-router-llama3-8b")
    assert proxy_for(url) == proxy


@asynccontextmanager
async def connect_proxy(certificate: ssl.SSLContext, target: int) -> AsyncIterator[tuple[int, list[str]]]:
    """Port and seen request lines of a proxy whose tunnels all end at `target`, behind TLS with this certificate."""
    seen: list[str] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head.decode().partition("\r\n")[0])
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await writer.start_tls(certificate)
        there, back = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(pipe(reader, back), pipe(there, writer), return_exceptions=True)

    server = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()


async def test_an_https_upstream_is_reached_by_connect_and_the_private_ca_is_trusted(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    openssl = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=llm.example.com"),
        *("-addext", "subjectAltName=DNS:llm.example.com", "-keyout", str(key), "-out", str(certificate)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await openssl.wait() == 0
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    async with ScriptedUpstream() as upstream:
        target = int(upstream.base_url.split(":")[2].split("/")[0])
        async with connect_proxy(context, target) as (port, seen):
            environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
            environment |= {"HTTPS_PROXY": f"http://127.0.0.1:{port}", "SSL_CERT_FILE": str(certificate)}
            client = await asyncio.create_subprocess_exec(
                sys.executable, "-c", CLIENT, cwd=PROJECT, env=environment, stdout=asyncio.subprocess.PIPE
            )
            output, _ = await client.communicate()
    assert seen == ["CONNECT llm.example.com:443 HTTP/1.1"]
    assert output.decode().strip() == "Hello, world"


@pytest.mark.parametrize("url", ["127.0.0.1:8001", "localhost:8001", "llm.corp.example.com:8001"])
def test_a_grpc_upstream_that_needs_no_proxy_gets_none(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", PROXY)
    monkeypatch.setenv("no_proxy", ".corp.example.com")
    assert ("grpc.enable_http_proxy", 0) in channel_options(url, tls=False)


async def test_a_grpc_upstream_is_reached_by_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if not seen.done():
            seen.set_result(line)
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    url = "llm.example.com:8001"
    async with server, grpc.aio.insecure_channel(url, options=channel_options(url, tls=False)) as channel:
        channel.get_state(try_to_connect=True)
        async with asyncio.timeout(30):
            assert (await seen).startswith(b"CONNECT llm.example.com:8001 ")
