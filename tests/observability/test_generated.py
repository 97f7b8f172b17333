"""Dashboards, rules and the metrics page are what the code writes, and use only metrics that exist."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from router_backend.observability.alerts import ALERTS, RECORDED
from router_backend.observability.catalogue import catalogue, unknown, used
from router_backend.observability.pages import PAGES
from tests.support.helm import PROJECT

QUERIES = [(page, panel, query) for page, board in PAGES.items() for panel, query in board.queries()]


def generate(checkout: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, checkout / "docs/generate.py", *flags]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_every_generated_file_is_what_the_code_writes() -> None:
    done = generate(PROJECT, "--check")
    assert done.returncode == 0, done.stderr


def test_a_file_that_differs_is_named_and_mended(tmp_path: Path) -> None:
    for folder in ("docs", "helm"):
        shutil.copytree(PROJECT / folder, tmp_path / folder)
    page = tmp_path / "docs/metrics.md"
    before = page.read_text()
    page.write_text(before + "an edit by hand\n")
    (tmp_path / "helm/llm-router/rules.yaml").unlink()
    done = generate(tmp_path, "--check")
    assert done.returncode == 1
    assert "docs/metrics.md, helm/llm-router/rules.yaml" in done.stderr
    assert generate(tmp_path).returncode == 0
    assert page.read_text() == before
    assert generate(tmp_path, "--check").returncode == 0


@pytest.mark.parametrize(("page", "panel", "query"), QUERIES, ids=[f"{p}: {t}" for p, t, _ in QUERIES])
def test_a_dashboard_uses_metrics_and_labels_that_exist(page: str, panel: str, query: str) -> None:
    assert unknown(query) == []


@pytest.mark.parametrize("expression", [*RECORDED.values(), *(alert.expression for alert in ALERTS)])
def test_a_rule_uses_metrics_and_labels_that_exist(expression: str) -> None:
    assert unknown(expression) == []
    recorded = set(re.findall(r"llm_router:[a-z0-9_:]+", expression))
    assert recorded <= set(RECORDED)


def test_a_metric_or_label_that_does_not_exist_is_found() -> None:
    assert unknown("sum(rate(llm_router_request_total[5m]))") == ["llm_router_request_total"]
    assert unknown("sum by (modl) (llm_router_in_flight_requests)") == ["modl"]
    assert unknown('llm_router_requests_total{state="open"}') == ["state"]


def test_names_follow_the_conventions_of_prometheus() -> None:
    names = [metric.name for metric in catalogue()]
    assert len(names) == len(set(names))
    for metric in catalogue():
        if metric.source == "server":
            continue
        assert metric.name.startswith("llm_router_")
        assert metric.name.endswith("_total") is (metric.kind == "counter"), metric.name
        assert not re.search(r"_(ms|millis|minutes|kb|mb)\b", metric.name)
        assert metric.meaning


def test_every_metric_of_ours_that_tells_of_quality_or_cost_is_shown() -> None:
    shown = {series for _, _, query in QUERIES for series in used(query)[0]}
    for name in ("llm_router_cost_usd_total", "llm_router_savings_usd_total", "llm_router_overhead_seconds_bucket"):
        assert name in shown


@pytest.mark.parametrize("name", PAGES)
def test_panels_do_not_overlap(name: str) -> None:
    board = json.loads((PROJECT / f"helm/llm-router/dashboards/{name}.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells


def test_every_alert_is_explained_where_its_runbook_points() -> None:
    page = (PROJECT / "docs/operations.md").read_text()
    headings = {line.lstrip("# ").strip().lower() for line in page.splitlines() if line.startswith("#")}
    rules = yaml.safe_load((PROJECT / "helm/llm-router/rules.yaml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["annotations"]["runbook"].partition("#")[2] in headings
