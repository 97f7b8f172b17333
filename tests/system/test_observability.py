"""A real Prometheus scrapes the running system: every query of a dashboard and every rule has a sane result."""

from __future__ import annotations

import json
import math
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from router_backend.contract import TASKS
from router_backend.observability.alerts import ALERTS, RECORDED
from router_backend.observability.catalogue import catalogue
from router_backend.observability.dashboards import Panel
from router_backend.observability.pages import PAGES
from tests.support.helm import CHART
from tests.support.prometheus_server import Prometheus
from tests.support.running import RunningSystem, llm_router

PROMPTS = [
    "Hi!",
    "Good morning, how are you?",
    "Write a Python function that sorts a list.",
    "Summarise: it rained all day.",
]
pytestmark = pytest.mark.system  # Prometheus
PANELS = [(name, panel) for name, board in PAGES.items() for _, panels in board.rows for panel in panels]


def one_round(system: RunningSystem) -> None:
    """Each prompt answered and scored; one label is right, one wrong; a named model; a prompt for Triton alone."""
    with httpx.Client(base_url=system.gateway, timeout=120) as client:
        for number, prompt in enumerate(PROMPTS):
            messages = [{"role": "user", "content": prompt}]
            body = {"model": "auto", "messages": messages, "max_tokens": 12, "stream": True}
            reply = client.post("/v1/chat/completions", json=body)
            assert reply.status_code == 200, reply.text
            predicted = reply.headers["x-router-task"]
            label = predicted if number % 2 else next(task for task in TASKS if task != predicted)
            score = {"decision_id": reply.headers["x-router-decision-id"], "score": 0.25 + number / 4, "task": label}
            assert client.post("/v1/feedback", json=score).status_code == 200
        named = {"model": "llama3-8b", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
        assert client.post("/v1/chat/completions", json=named).status_code == 200


@pytest.fixture(scope="module")
def prometheus(system: RunningSystem, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    targets = {"gateway": f"127.0.0.1:{system.gateway_port}", "triton": f"127.0.0.1:{system.metrics_port}"}
    running = Prometheus(tmp_path_factory.mktemp("prometheus"), targets, CHART / "rules.yaml").start()
    try:
        one_round(system)
        _wait(running, "count(llm_router_feedback_score_count) > 0 and count(llm_router_requests_total) > 0")
        time.sleep(1.5)  # the counters' first values have been scraped; what comes now is an increase
        one_round(system)
        seen = "sum(increase(llm_router_feedback_score_count[5m])) > 0 and sum(increase(llm_router_requests_total[5m])) > 0"
        _wait(running, seen)
        time.sleep(2)  # the recorded rules have been evaluated over it
        yield running
    finally:
        running.stop()


def _wait(running: Prometheus, expression: str) -> None:
    deadline = time.monotonic() + 30
    while not running.query(expression):
        assert time.monotonic() < deadline, expression
        time.sleep(0.2)


@pytest.mark.parametrize(("page", "panel"), PANELS, ids=[f"{name}: {panel.title}" for name, panel in PANELS])
def test_every_query_of_a_dashboard_has_a_sane_result(prometheus: Prometheus, page: str, panel: Panel) -> None:
    for expression, legend in panel.queries:
        asked = expression.replace("$__rate_interval", "1m").replace("$__range", "5m").replace("$model", ".*")
        found = prometheus.query(asked)
        assert found, f"{asked} is empty"
        for labels, value in found:
            assert math.isfinite(value), (asked, labels)
            assert value >= 0, (asked, labels)
            if panel.unit == "percentunit":
                assert value <= 1.0 + 1e-6, (asked, labels, value)
            named = {part.partition("}}")[0] for part in legend.split("{{")[1:]}
            # An answer of a named model has no task and no policy.
            assert named - {"task", "policy_version"} <= set(labels) or not labels, (asked, legend, labels)


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_series_is_there(prometheus: Prometheus, name: str) -> None:
    assert all(value >= 0 for _, value in prometheus.query(name))
    assert prometheus.query(name)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_every_alert_measures_something(prometheus: Prometheus, alert: object) -> None:
    found = prometheus.query(alert.measure)  # type: ignore[attr-defined]
    assert found
    assert all(math.isfinite(value) and value >= -1 for _, value in found)


def test_prometheus_evaluates_every_rule_without_errors(prometheus: Prometheus) -> None:
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == len(RECORDED) + len(ALERTS)
    assert {rule["health"] for rule in rules} == {"ok"}


def test_a_healthy_system_raises_no_critical_alert(prometheus: Prometheus) -> None:
    found = prometheus.query('ALERTS{severity="critical"}')
    assert found == []


# Of failures and changes, which this traffic has none of, and of choices that chance makes.
_RARE = {
    "llm_router_routing_fallbacks_total",
    "llm_router_upstream_fallbacks_total",
    "llm_router_upstream_failures_total",
    "llm_router_upstream_retries_total",
    "llm_router_explorations_total",
    "llm_router_over_routed_total",
    "llm_router_shadow_decisions_total",
    "llm_router_records_dropped_total",
    "llm_router_model_changed_seconds",
    "llm_router_source_agreement",
    "llm_router_source_weight",
    "llm_router_signals_total",
    "llm_router_background_failures_total",
    "llm_router_judge_graded_total",
    "llm_router_judge_dropped_total",
    "llm_router_judge_usd_total",
    "llm_router_judge_compared_total",
    "llm_router_responses_not_stored_total",
    "llm_router_batches_total",
    "llm_router_batch_lines_total",
    "llm_router_upstream_batches_total",
}


def test_every_metric_of_the_catalogue_is_on_the_running_system_with_its_labels(prometheus: Prometheus) -> None:
    for metric in catalogue():
        for series in metric.series:
            found = prometheus.get("series", **{"match[]": series})
            if metric.name in _RARE and not found:
                continue
            assert found, f"{series} is on no page"
            labels = set().union(*(set(row) for row in found)) - {"__name__", "job", "instance", "le"}
            assert labels <= set(metric.labels), series
            assert set(metric.labels) - labels <= {"task", "policy_version"}, series


def test_the_classifiers_confusion_is_counted(prometheus: Prometheus) -> None:
    share = 'sum(llm_router_task_labels_total{correct="true"}) / sum(llm_router_task_labels_total)'
    assert 0.1 < prometheus.query(share)[0][1] < 0.9
    for labels, _ in prometheus.query("llm_router_task_labels_total"):
        assert (labels["predicted"] == labels["actual"]) is (labels["correct"] == "true")


def test_the_report_tells_of_the_traffic(system: RunningSystem, prometheus: Prometheus) -> None:
    assert system.config is not None
    where = ["--config", str(system.config), "--state-dir", str(system.state_dir)]
    command = [*llm_router(), "report", "--since", "1d", "--format", "json", *where]
    done = subprocess.run(command, env=system.environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["total"]["requests"] >= 2 * len(PROMPTS) + 2
    assert told["total"]["scored"] >= 2 * len(PROMPTS)
    assert told["total"]["savings"] > 0
    assert sum(sums["requests"] for sums in told["by_model"].values()) == told["total"]["requests"]
