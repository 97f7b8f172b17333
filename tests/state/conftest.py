"""Real stores for the state's tests."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from router_backend.state.open import open_store
from router_backend.state.store import Store
from tests.support.dynamodb_server import CREDENTIALS, DynamoDBServer
from tests.support.programs import system_program
from tests.support.redis_server import RedisServer


@pytest.fixture
def sqlite_url() -> str:
    return "sqlite:///state.db"


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests that only use it; each has its own key prefix."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.kill()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    return f"{redis_server.url}?prefix={{{uuid.uuid4().hex}}}"


@pytest.fixture(scope="session")
def system_redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """An older one: that of the system, Debian's 7.0."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), binary=system_program("redis-server")).start()
    yield server
    server.kill()


@pytest.fixture
def system_redis_url(system_redis_server: RedisServer) -> str:
    return f"{system_redis_server.url}?prefix={{{uuid.uuid4().hex}}}"


@pytest.fixture(scope="session")
def dynamodb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DynamoDBServer]:
    """One server for all tests; each has its own table."""
    server = DynamoDBServer().start(tmp_path_factory.mktemp("dynamodb") / "log")
    yield server
    server.kill()


@pytest.fixture
def dynamodb_url(dynamodb_server: DynamoDBServer, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return dynamodb_server.url(uuid.uuid4().hex)


@pytest.fixture(
    params=[
        "sqlite",
        "redis",
        pytest.param("system_redis", marks=pytest.mark.system),
        pytest.param("dynamodb", marks=pytest.mark.slow),
    ]
)
def store_url(request: pytest.FixtureRequest) -> str:
    """The same tests for each kind of store; what `contract` promises is tested on all of them each time."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def open_replica(store_url: str, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens the test's store again, as another process would."""
    opened: list[Store] = []

    def open_one() -> Store:
        opened.append(open_store(store_url, tmp_path))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_replica: Callable[[], Store]) -> Store:
    return open_replica()
