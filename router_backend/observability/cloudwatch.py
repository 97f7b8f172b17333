"""CloudWatch's alarms and saved queries, out of the same table as Prometheus' rules, as the Terraform module reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from router_backend.core.emf import METRICS
from router_backend.observability.alerts import ALERTS, Alert

# Logs Insights, over the access log's lines.
QUERIES = {
    "distribution-per-hour": "filter ispresent(model) and route like /completions|messages|responses/"
    " | stats count(*) as requests, sum(tokens) as tokens, sum(cost_usd) as usd by bin(1h) as hour, model | sort hour desc",
    "decision-time": "filter ispresent(decision_ms)"
    " | stats count(*) as decisions, avg(decision_ms) as mean, pct(decision_ms, 50) as p50, pct(decision_ms, 99) as p99,"
    " max(decision_ms) as worst by bin(1h) as hour | sort hour desc",
    "cost-by-key": "filter cost_usd > 0"
    " | stats sum(cost_usd) as usd, count(*) as requests, sum(tokens) as tokens by key, model | sort usd desc",
    "why-the-default-model": "filter fallback = 1 | stats count(*) as requests by reason, bin(1h) as hour | sort hour desc",
    "failures": "filter status >= 500 | stats count(*) as requests by route, status, error, model | sort requests desc",
}


def module_files() -> dict[Path, str]:
    """The generated files of the Terraform module, by their paths from its folder."""
    alarms = {alert.name: _plain(alert) for alert in ALERTS if alert.alarm is not None}
    return {
        Path("alarms.json"): json.dumps(alarms, indent=2) + "\n",
        Path("queries.json"): json.dumps(QUERIES, indent=2) + "\n",
    }


def table() -> str:
    """The metrics and the alarms over them, for docs/metrics.md."""
    metrics = ["| metric | unit | meaning |", "|---|---|---|"]
    for metric in METRICS:
        by_model = "; also by `model`" if metric.by_model else ""
        metrics.append(f"| `{metric.name}` | {metric.unit} | {metric.meaning}{by_model} |")
    alarms = ["| alarm | fires when |", "|---|---|"]
    for alert in ALERTS:
        if alarm := alert.alarm:
            sign = ">" if alarm.comparison == "GreaterThanThreshold" else "<"
            one = ", of each model" if alarm.by_model else ""
            every = f"{alarm.period // 3600} h" if alarm.period >= 3600 else f"{alarm.period // 60} min"
            times = f", {alarm.periods} times in a row" if alarm.periods > 1 else ""
            alarms.append(
                f"| {alert.name} | {alarm.statistic} of `{alarm.metric}` {sign} {alarm.threshold:,.15g} in {every}{times}{one} |"
            )
    return "\n".join(metrics) + "\n\n" + "\n".join(alarms) + "\n"


def _plain(alert: Alert) -> dict[str, Any]:
    alarm = alert.alarm
    assert alarm is not None
    return {
        "description": f"{alert.action} (docs/operations.md#{alert.name.lower()})",
        "metric": alarm.metric,
        "statistic": alarm.statistic,
        "comparison": alarm.comparison,
        "threshold": alarm.threshold,
        "period": alarm.period,
        "periods": alarm.periods,
        "by_model": alarm.by_model,
    }
