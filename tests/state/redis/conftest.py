"""Redis servers of a test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.redis_server import RedisServer

Start = Callable[..., RedisServer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server of the test's own, with options in place of the durable ones."""
    servers: list[RedisServer] = []

    def start_one(*options: str, binary: str | None = None, **arguments: str) -> RedisServer:
        servers.append(RedisServer(tmp_path / f"redis{len(servers)}", *options, binary=binary))
        return servers[-1].start(**arguments)

    yield start_one
    for server in servers:
        server.kill()
