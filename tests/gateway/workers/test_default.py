"""The number of workers that follows from the machine."""

from __future__ import annotations

import pytest

from router_backend.config.limits import GatewayConfig, RoutingConfig
from router_backend.gateway.workers import default


@pytest.mark.parametrize(
    ("cores", "megabytes", "workers"),
    [(0.5, None, 1), (1.9, None, 1), (2.0, 1024, 2), (64.0, None, 8), (4.0, 512, 2), (4.0, 64, 1)],
)
def test_one_for_each_core_that_memory_is_there_for(
    monkeypatch: pytest.MonkeyPatch, cores: float, megabytes: int | None, workers: int
) -> None:
    monkeypatch.setattr(default, "usable_cores", lambda: cores)
    monkeypatch.setattr(default, "memory_limit", lambda: None if megabytes is None else megabytes * 1024 * 1024)
    assert default.workers_of(GatewayConfig(), RoutingConfig()) == workers
    assert default.workers_of(GatewayConfig(workers=3), RoutingConfig()) == 3
    assert default.workers_of(GatewayConfig(extproc_port=0), RoutingConfig()) == 1
    assert default.workers_of(GatewayConfig(), RoutingConfig(host="in_process")) == 1
    assert default.workers_of(GatewayConfig(workers=3), RoutingConfig(fallback="in_process")) == 3
