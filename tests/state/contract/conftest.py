"""The contract is tested on every kind of store each time."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["sqlite", "redis", "dynamodb"])
def store_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
