"""The chart's dashboards and rules, and docs/metrics.md, as text; docs/generate.py writes them."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from router_backend.observability import cloudwatch
from router_backend.observability.alerts import ALERTS, rules
from router_backend.observability.catalogue import catalogue
from router_backend.observability.dashboards import render
from router_backend.observability.pages import PAGES

_TITLES = {
    "gateway": "Gateway (`/metrics` on port 8080)",
    "triton": "Our models on Triton (`/metrics` on port 8002)",
    "server": "Triton's own metrics that the dashboards use",
}
_HEAD = """# Metrics

Generated from the code by `make docs`. Counters end in `_total`. Times are in seconds, money is in USD. Labels hold names from
the configuration and fixed words, never content. On Triton our histograms are counters by bucket (`<name>_bucket{le}`, `_sum`, `_count`), so
`histogram_quantile` works on them. A reward below 0 counts in its bucket, and as 0 in `_sum`. Triton's page is at most half a
second behind.
"""


_CLOUDWATCH = """## On CloudWatch

With `telemetry.cloudwatch_namespace`, each line of the gateway's access log names metrics (the embedded metric format), and CloudWatch Logs
reads them. The alarms of [deploy/terraform](aws.md) use these metrics.

"""


def chart_files() -> dict[Path, str]:
    """The generated files of the chart, by their paths from its folder."""
    dashboards = {
        Path(f"dashboards/{name}.json"): json.dumps(render(page), indent=1) + "\n" for name, page in PAGES.items()
    }
    return {**dashboards, Path("rules.yaml"): yaml.safe_dump(rules(), sort_keys=False, width=1000)}


def metrics_page() -> str:
    """docs/metrics.md: a table a source, and the alerts."""
    parts = [_HEAD]
    for source, title in _TITLES.items():
        rows = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
        for metric in catalogue():
            if metric.source == source:
                labels = ", ".join(f"`{label}`" for label in metric.labels)
                rows.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |")
        parts.append(f"## {title}\n\n" + "\n".join(rows) + "\n")
    rows = ["| alert | after | fires when |", "|---|---|---|"]
    rows += [f"| {alert.name} | {alert.after} | `{alert.expression.replace('|', chr(92) + '|')}` |" for alert in ALERTS]
    parts.append("## Alerts\n\nWhat to do: [operations.md](operations.md#alerts).\n\n" + "\n".join(rows) + "\n")
    parts.append(_CLOUDWATCH + cloudwatch.table())
    return "\n".join(parts)
