"""The report of a run: which figures the targets are held against."""

from __future__ import annotations

import pytest

from router_backend.lab.bench.bandit_costs import BanditCost
from router_backend.lab.bench.measure import QUICK, Latency
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
