"""Fixtures of the forwarding tests: scripted upstreams and engines in front of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from router_backend.forwarding.engine import Engine, build_engine
from tests.support.arms import model, router_config
from tests.support.scripted_upstream import ScriptedUpstream


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    """The first arm's server."""
    async with ScriptedUpstream() as server:
        yield server


@pytest.fixture
async def second() -> AsyncIterator[ScriptedUpstream]:
    """The second arm's server."""
    async with ScriptedUpstream() as server:
        yield server


@pytest.fixture
async def engine_for() -> AsyncIterator[Callable[..., Engine]]:
    """Builds engines whose arms are `a`, `b`, …, one per server; keyword arguments are sections of router.yaml."""
    async with AsyncExitStack() as stack:

        def build(*servers: ScriptedUpstream, arm: dict[str, Any] | None = None, **fields: Any) -> Engine:
            observer = fields.pop("observer", None)
            fields.setdefault("retries", {"backoff": 0.001, "max_backoff": 0.05})
            models = [
                model(name, server.base_url, **(arm or {})) for name, server in zip("abcdefgh", servers, strict=False)
            ]
            engine = build_engine(router_config(models, **fields), observer=observer)
            stack.push_async_callback(engine.aclose)
            return engine

        yield build
