"""The classifier's cache in a running system."""

from __future__ import annotations

from router_backend.lab.bench.memory import fill_cache
from tests.support.running import RunningSystem


async def test_the_cache_forgets_beyond_the_bytes_that_router_yaml_gives_it(system: RunningSystem) -> None:
    filled = await fill_cache(system.grpc)
    assert filled.entries <= 2000  # a megabyte holds about 1,250 answers, the default sixteen times as many
