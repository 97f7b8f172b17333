"""Engines whose arms are models on a scripted Bedrock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from router_backend.forwarding.engine import Engine, build_engine
from tests.support.arms import router_config
from tests.support.scripted_bedrock import CREDENTIALS, REGION, ScriptedBedrock

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")


@pytest.fixture
async def bedrock() -> AsyncIterator[ScriptedBedrock]:
    """The server of arm `a`."""
    async with ScriptedBedrock() as server:
        yield server


@pytest.fixture
async def other() -> AsyncIterator[ScriptedBedrock]:
    """The server of arm `b`."""
    async with ScriptedBedrock() as server:
        yield server


BuildEngine = Callable[..., Engine]


@pytest.fixture
async def engine_for() -> AsyncIterator[BuildEngine]:
    """Arms `a`, `b`, … one per server; `upstream` adds to each arm's, other keywords are sections of router.yaml."""
    async with AsyncExitStack() as stack:

        def build(*servers: ScriptedBedrock, upstream: dict[str, Any] | None = None, **sections: Any) -> Engine:
            sections.setdefault("retries", {"backoff": 0.001, "max_backoff": 0.05})
            models = [
                {
                    "name": name,
                    "upstream": {
                        "kind": "bedrock",
                        "model": MODEL,
                        "region": REGION,
                        "endpoint_url": server.url,
                        **(upstream or {}),
                    },
                    "price": {"input": 3, "output": 15, "cached_input": 0.3},
                    "context_window": 200_000,
                    "capabilities": ["tools", "vision", "json"],
                }
                for name, server in zip("abcd", servers, strict=False)
            ]
            engine = build_engine(router_config(models, **sections))
            stack.push_async_callback(engine.aclose)
            return engine

        yield build
