"""The gateway's /metrics against the table that dashboards, alerts and docs/metrics.md are written from."""

from __future__ import annotations

import asyncio
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from router_backend.core import background
from router_backend.core import metrics as declared
from router_backend.gateway.metrics import Metrics
from tests.gateway.conftest import Serve
from tests.support.scripted_upstream import ScriptedUpstream


def test_the_page_has_every_declared_metric_and_no_other() -> None:
    metrics = Metrics()
    metrics.watch(lambda: {"small": "open"}, lambda: 3)
    families = {family.name: family for family in text_string_to_metric_families(metrics.text().decode())}
    names = {m.name.removesuffix("_total"): m for m in declared.ALL if m.source == "gateway"}
    assert set(families) == set(names)
    for name, family in families.items():
        assert (family.type, family.documentation) == (names[name].kind, names[name].meaning)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(names[name].labels)


def test_breakers_and_waiting_reports_are_read_when_the_page_is() -> None:
    health = {"small": "closed"}
    metrics = Metrics()
    metrics.watch(lambda: health, lambda: 3)
    assert 'llm_router_upstream_state{model="small",state="closed"} 1.0' in metrics.text().decode()
    health["small"] = "open"
    page = metrics.text().decode()
    assert 'llm_router_upstream_state{model="small",state="closed"} 0.0' in page
    assert 'llm_router_upstream_state{model="small",state="open"} 1.0' in page
    assert "llm_router_reports_waiting 3.0" in page


async def test_work_that_holds_up_the_loop_is_seen() -> None:
    metrics = Metrics()
    watching = asyncio.create_task(metrics.sample_lag(every=0.01))
    await asyncio.sleep(0)
    time.sleep(0.2)  # noqa: ASYNC251  # on purpose
    async with asyncio.timeout(10):
        while _longest_stall(metrics) < 0.15:
            await asyncio.sleep(0.01)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


def _longest_stall(metrics: Metrics) -> float:
    (stall,) = [
        sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if sample.name == "llm_router_event_loop_longest_stall_seconds"
    ]
    return stall


async def test_background_work_that_fails_begins_again_and_is_counted(
    serve: Serve, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "PAUSES", (0.01, 0.01))
    began: list[str] = []

    async def breaks_once(self: Metrics) -> None:
        began.append("")
        if len(began) == 1:
            raise ZeroDivisionError

    monkeypatch.setattr(Metrics, "sample_lag", breaks_once)
    gateway = await serve(upstream)
    async with asyncio.timeout(20):
        while len(began) < 2:
            await asyncio.sleep(0.01)
    page = (await gateway.http.get("/metrics")).text
    assert 'llm_router_background_failures_total{work="lag"} 1.0' in page
    assert 'llm_router_background_failures_total{work="outcomes"} 0.0' in page
