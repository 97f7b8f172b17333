"""The client that is tested."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from router_backend.forwarding.upstreams.plain import PlainHTTP


@pytest.fixture
async def client() -> AsyncIterator[PlainHTTP]:
    made = PlainHTTP(5.0)
    yield made
    await made.aclose()
