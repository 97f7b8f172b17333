"""The gateway's /metrics against the table that dashboards, alerts and docs/metrics.md are written from."""

from __future__ import annotations

import asyncio
import time

import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families

from router_backend.core import background
from router_backend.core import metrics as declared
from router_backend.gateway.metrics import Metrics
from router_backend.gateway.tallies import Tallies
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


def test_what_is_held_is_what_the_library_would_have_counted() -> None:
    """Each observation in the bucket where prometheus_client itself puts it, whenever the page is read in between."""
    registry, tallies = CollectorRegistry(), Tallies()
    bounds = (0.1, 1.0, 5.0)
    ours, theirs = (Histogram(name, "", ["of"], buckets=bounds, registry=registry) for name in ("ours", "theirs"))
    held = tallies.spreads(ours)
    for round_, value in enumerate((-1.0, 0.0, 0.1, 0.1001, 1.0, 4.9, 5.0, 99.0, 1e9)):
        held.labels("a").observe(value)
        theirs.labels("a").observe(value)
        if round_ % 3 == 0:
            tallies.put_down()
    tallies.put_down()
    tallies.put_down()
    for suffix, labels in (
        *(("_bucket", {"of": "a", "le": le}) for le in ("0.1", "1.0", "5.0", "+Inf")),
        ("_sum", {"of": "a"}),
        ("_count", {"of": "a"}),
    ):
        assert registry.get_sample_value("ours" + suffix, labels) == pytest.approx(
            registry.get_sample_value("theirs" + suffix, labels)
        )


def test_a_counter_is_exact_however_often_it_is_read() -> None:
    metrics = Metrics()
    for at in range(5):
        metrics.upstream_retries.labels("small").inc()
        metrics.reports_lost.inc(2)
        page = metrics.text().decode()
        assert f'llm_router_upstream_retries_total{{model="small"}} {at + 1}.0' in page
        assert f"llm_router_reports_lost_total {2 * at + 2}.0" in page
