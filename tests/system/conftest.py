"""One real system (Triton, local model, gateway) for all tests here that don't need one of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.configs import local_config
from tests.support.running import RunningSystem


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    folder = tmp_path_factory.mktemp("system")
    routing = {"deadline_ms": 10_000, "classifier_cache_bytes": 1024 * 1024}
    running = RunningSystem(folder, config=local_config(folder, routing=routing, responses={"store": True})).start()
    yield running
    running.stop()
