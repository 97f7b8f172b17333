"""Alarms and queries on CloudWatch read what the gateways log."""

from __future__ import annotations

import json
import re
from pathlib import Path

from router_backend.core.emf import METRICS
from router_backend.observability.alerts import ALERTS
from router_backend.observability.cloudwatch import QUERIES, module_files

FIELDS = {metric.name for metric in METRICS} | {"model", "route", "status", "error", "key", "reason"}


def test_every_alarm_watches_a_metric_and_is_an_alert() -> None:
    alarms = json.loads(module_files()[Path("alarms.json")])
    known = {metric.name: metric for metric in METRICS}
    assert alarms.keys() <= {alert.name for alert in ALERTS}
    for alarm in alarms.values():
        assert known[alarm["metric"]].by_model or not alarm["by_model"]
        assert alarm["period"] * alarm["periods"] <= 86400  # CloudWatch looks back a day


def test_the_alarms_that_the_guides_ask_for_are_there() -> None:
    alarms = json.loads(module_files()[Path("alarms.json")])
    told = {
        name: (alarm["metric"], alarm["threshold"], alarm["period"] * alarm["periods"])
        for name, alarm in alarms.items()
    }
    assert told["RoutingAccuracyLow"] == ("task_correct", 0.7, 3 * 3600)
    assert told["ExpensiveModelShareHigh"][:2] == ("most_expensive", 0.5)
    assert told["DecisionSlow"][:2] == ("decision_ms", 50)
    assert alarms["TokenBudgetExceeded"]["by_model"]


def test_queries_read_fields_of_the_log() -> None:
    for query in QUERIES.values():
        made = set(re.findall(r" as (\w+)", query))
        words = set(re.findall(r"\b[a-z_]+_[a-z]+\b|\b(?:model|route|status|error|key|reason|tokens)\b", query))
        assert words - made <= FIELDS, query
