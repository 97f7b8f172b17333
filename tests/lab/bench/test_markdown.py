"""The report of a run: which figures the targets are held against."""

from __future__ import annotations

import pytest

from router_backend.lab.bench.bandit_costs import BanditCost
from router_backend.lab.bench.bodies import Found
from router_backend.lab.bench.cores import OnCores
from router_backend.lab.bench.markdown import markdown
from router_backend.lab.bench.measure import CLIENTS, QUICK, Latency, Measured
from router_backend.lab.bench.memory import Filled, Soak
from router_backend.lab.bench.results import Results, begin
from router_backend.lab.bench.stores import StoreRates
from router_backend.lab.bench.triton_models import STREAMS, ByClients
from router_backend.lab.bench.verdicts import Verdict, verdicts


def took(p95: float, rate: float = 100.0) -> Latency:
    return Latency(100, rate, p95 / 2, p95, 2 * p95)


def asked(p95: float) -> dict[str, ByClients]:
    cases = ("classifier", "router", "route, unseen", "route, repeated", STREAMS)
    return {name: {1: took(p95), 16: took(10 * p95)} for name in cases}


@pytest.fixture
def results() -> Results:
    found = begin(QUICK)
    found.encoder = {64: took(5.0)}
    found.triton = asked(9.0)
    return found


def verdict(results: Results, start: str) -> Verdict:
    return next(row for row in verdicts(results) if row[0].startswith(start))


def test_perf_analyzer_s_figures_go_before_the_client_s_own(results: Results) -> None:
    assert verdict(results, "`route`, unseen")[1:] == (
        "≤ the forward pass alone + 1.5 ms and ≤ 8 ms: 6.50 ms",
        "9.00 ms (tritonclient)",
        False,
    )
    results.perf_analyzer = asked(6.0)
    assert verdict(results, "`route`, unseen")[2:] == ("6.00 ms (perf_analyzer)", True)
    assert verdict(results, "`llm_router`")[2] == "10,000 chunks/s (tritonclient)"


def test_stores_and_bandits_have_their_targets(results: Results) -> None:
    rates = StoreRates(
        threads=4000, processes=1, callers=1, batches=1, decisions=1, hot_path_us=1, rebuild_events=1, rebuild_seconds=1
    )
    results.stores = {"SQLite": rates, "Redis": rates}
    cost = {"scores": 8.0, "choose": 9.0, "update": 26.0, "publication": 50.0}
    results.bandits = [BanditCost(policy="linucb", arms=3, components=128, **cost)]
    assert verdict(results, "SQLite")[3]
    assert not verdict(results, "Redis")[3]
    assert verdict(results, "LinUCB, 3 arms, 128 components, one choice")[3]
    assert not verdict(results, "LinUCB, 3 arms, 128 components, one update")[3]


def test_the_process_that_grew_most_is_named(results: Results) -> None:
    results.soak = Soak(50_000, 300.0, 0, {"a": 100.0, "b": 50.0}, {"a": 101.0, "b": 53.0}, Filled(20_000, 20.0))
    assert verdict(results, "memory growth")[2:] == ("6.0 % (b)", False)


def measured(name: str, p50: float, rate: float, cpu_ms: float = 1.0) -> Measured:
    closed = {clients: Latency(100, rate, p50, 2 * p50, 3 * p50) for clients in CLIENTS}
    return Measured(
        name=name, closed=closed, open={50: took(1), 80: took(1)}, saturation=rate, first_chunk=took(1), cpu_ms=cpu_ms
    )


def test_the_system_is_held_against_litellm_within_one_run(results: Results) -> None:
    results.targets = [
        measured("direct", 1.0, 9000),
        measured("llm-router, named model", 1.4, 3600),
        measured("llm-router, auto", 5.0, 500),
        measured("llm-router, auto, repeated", 3.6, 900, cpu_ms=1.5),
        measured("litellm", 11.0, 80),
    ]
    found = {what: (measured, met) for what, _, measured, met in verdicts(results)}
    assert found["auto, unseen, added p50 / LiteLLM's"] == ("0.40: 4.00 ms to 10.00 ms", True)
    assert found["auto, unseen, throughput at 16 clients / LiteLLM's"] == ("6.2: 500/s to 80/s", True)
    assert found["auto, repeated, added p50"] == ("2.60 ms", False)
    assert found["auto, repeated, processor time per request, 16 clients"] == ("1.50 ms", True)
    assert found["auto, unseen, open loop at 80 %, p99 / p50"] == ("4.00", False)
    assert found["named model, throughput"] == ("3,600/s", True)


def test_large_bodies_and_cores_are_part_of_the_report(results: Results) -> None:
    results.targets = [measured("direct", 1.0, 9000)]
    results.bodies = [
        Found("none", 0, 0.5, 0.001, 0),
        Found("one text", 9, 0.09, 0.002, 120_000_000),
        Found("strings", 9, 0.05, 0.002, 10_000_000),
    ]
    assert verdict(results, "longest wait")[2:] == ("90 ms (one text)", True)
    assert verdict(results, "memory growth by 8 MB")[2:] == ("120 MB (one text)", False)
    results.cores = [OnCores("llm-router, auto", 1, took(9.0, rate=321), 3.0, 0.97, "tritonserver", 0.5)]
    page = markdown(results, "report.svg")
    assert "| one text | 9 | 2.0 | 90 | +120 |" in page
    assert "| llm-router, auto | 1 | 321 | 4.50 / 18.00 | 3.00 | 0.97 | tritonserver (0.50) | all cores |" in page
