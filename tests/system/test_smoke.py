"""The chart's smoke test, on the running system."""

from __future__ import annotations

from router_backend.cli.smoke import check
from tests.support.running import RunningSystem


def test_the_smoke_test_of_the_chart_passes(system: RunningSystem) -> None:
    assert "feedback: reward" in check(system.gateway, "")
