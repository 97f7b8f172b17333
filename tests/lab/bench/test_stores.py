"""Rates of the stores, on small numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from router_backend.lab.bench.stores import measure_store, start_redis
from router_backend.state.redis.store import RedisStore


def test_each_feedback_of_each_phase_is_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router_backend.lab.bench.stores.WRITERS", 2)
    rates = measure_store("sqlite:///bench.db", tmp_path, number=40, events=200)
    assert min(rates.threads, rates.processes, rates.callers, rates.batches, rates.decisions) > 0
    assert rates.rebuild_events == 200  # 4 phases of 40, and what was missing


def test_the_redis_that_is_measured_keeps_what_it_acknowledges(tmp_path: Path) -> None:
    running, url = start_redis(tmp_path / "redis")
    try:
        RedisStore(url).close()  # refuses one that doesn't
        assert redis.Redis.from_url(url).config_get("appendfsync") == {"appendfsync": "always"}
    finally:
        running.stop()
