"""Stores for the archive's tests."""

from __future__ import annotations

from tests.state.conftest import open_replica, redis_server, redis_url, sqlite_url, store

__all__ = ["open_replica", "redis_server", "redis_url", "sqlite_url", "store", "store_url"]

import pytest


@pytest.fixture(params=["sqlite", "redis"])
def store_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
