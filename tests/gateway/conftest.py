"""Fixtures of the gateway's tests: real gateways on real sockets, in front of scripted servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from router_backend.config.safety import THIS_MACHINE, Exposure
from router_backend.gateway.app import create_app
from router_backend.gateway.server import build_server
from router_backend.gateway.service import GatewaySettings, Service
from tests.support.arms import model, router_config
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream


@dataclass
class Running:
    """A gateway that listens, and a client of it."""

    app: Service  # what the process holds
    port: int
    http: httpx.AsyncClient
    connections: set[Any]  # the server's, open now

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def chat(self, text: str = "hi", *, model: str = "auto", **fields: Any) -> httpx.Response:
        headers = fields.pop("headers", None)
        body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        return await self.http.post("/v1/chat/completions", json=body, headers=headers)


EACH_WIRE = pytest.mark.parametrize("triton", ["http", "grpc"], indirect=True)
Serve = Callable[..., Coroutine[Any, Any, Running]]


async def until_ready(gateway: Running) -> None:
    """A busy machine may take longer for a decision than readiness waits for one."""
    async with asyncio.timeout(60):
        while (await gateway.http.get("/health/ready")).status_code != 200:
            await asyncio.sleep(0.05)


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    """The server of model `a`."""
    async with ScriptedUpstream() as server:
        yield server


@pytest.fixture
async def second() -> AsyncIterator[ScriptedUpstream]:
    """The server of model `b`."""
    async with ScriptedUpstream() as server:
        yield server


@pytest.fixture
async def triton(request: pytest.FixtureRequest) -> AsyncIterator[ScriptedTriton]:
    """Ranks `a` before `b`. Parametrized with `EACH_WIRE`, it is asked over HTTP and over gRPC."""
    server = ScriptedTriton(["a", "b"], getattr(request, "param", "http"))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts gateways whose models are `a`, `b`, … in front of the given upstreams; keywords are router.yaml's sections,
    `arm` is for each model, `arms` for one by its name.

    Without `triton` nothing listens at Triton's address. `a` costs 1 and 2 USD per million tokens, `b` ten times that.
    """
    async with AsyncExitStack() as stack:

        async def start(
            *servers: ScriptedUpstream,
            triton: ScriptedTriton | None = None,
            arm: dict[str, Any] | None = None,
            arms: dict[str, dict[str, Any]] | None = None,
            config_path: Path | None = None,
            exposure: Exposure = THIS_MACHINE,
            journal: Path | None = None,
            **sections: Any,
        ) -> Running:
            sections.setdefault("retries", {"backoff": 0.001, "max_backoff": 0.05})
            # Generous: these tests are about what the gateway does with a decision, not about this machine's speed.
            sections.setdefault("routing", {"deadline_ms": 2000})
            models = [
                model(
                    name,
                    server.base_url,
                    **{"price": {"input": 10**at, "output": 2 * 10**at}, **(arm or {}), **(arms or {}).get(name, {})},
                )
                for at, (name, server) in enumerate(zip("abcd", servers, strict=False))
            ]
            url = triton.url if triton else "http://127.0.0.1:9"
            app = create_app(
                GatewaySettings(router_config(models, **sections), url, config_path, exposure, journal=journal)
            )
            server = build_server(app, "127.0.0.1", 0)
            task = asyncio.create_task(server.serve())
            while not server.started:
                if task.done():
                    await task
                await asyncio.sleep(0.005)
            port = server.servers[0].sockets[0].getsockname()[1]
            http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)

            async def stop() -> None:
                await http.aclose()
                server.should_exit = True
                await task

            stack.push_async_callback(stop)
            return Running(app.service, port, http, server.server_state.connections)

        yield start
