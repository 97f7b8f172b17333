"""Grafana dashboards as code. `generate` writes them; a test runs every query against a running system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_WIDTH = 24


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `queries`: PromQL and the legend of each; `wide`: columns of Grafana's 24."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    meaning: str = ""
    kind: str = "timeseries"
    wide: int = 8
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page; rows are titles with their panels."""

    uid: str
    title: str
    rows: Sequence[tuple[str, Sequence[Panel]]]
    variables: Sequence[dict[str, Any]] = field(default=())

    def queries(self) -> list[tuple[str, str]]:
        """(panel, PromQL) of the whole page."""
        return [(panel.title, query) for _, panels in self.rows for panel in panels for query, _ in panel.queries]


def quantile(share: float, histogram: str, by: str = "", matchers: str = "") -> str:
    """PromQL of a quantile over all replicas; works on our models' histograms on Triton, which are counters by bucket."""
    labels = f"le, {by}" if by else "le"
    selected = f"{{{matchers}}}" if matchers else ""
    return f"histogram_quantile({share}, sum by ({labels}) (rate({histogram}_bucket{selected}[$__rate_interval])))"


def rate(counter: str, by: str = "", matchers: str = "") -> str:
    selected = f"{{{matchers}}}" if matchers else ""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({counter}{selected}[$__rate_interval]))"


def ranged(counter: str, by: str = "", matchers: str = "") -> str:
    """The increase over what the page shows."""
    selected = f"{{{matchers}}}" if matchers else ""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (increase({counter}{selected}[$__range]))"


def stat(title: str, unit: str, query: str, meaning: str = "", wide: int = 4) -> Panel:
    return Panel(title, unit, [(query, title)], meaning, "stat", wide)


def render(dashboard: Dashboard) -> dict[str, Any]:
    """Grafana's JSON model."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in dashboard.rows:
        panels.append(
            {
                "type": "row",
                "title": title,
                "id": len(panels) + 1,
                "collapsed": False,
                "panels": [],
                "gridPos": {"x": 0, "y": top, "w": _WIDTH, "h": 1},
            }
        )
        top, left, height = top + 1, 0, 0
        for panel in row:
            tall = 4 if panel.kind == "stat" else 8
            if left + panel.wide > _WIDTH:
                top, left, height = top + height, 0, 0
            place = {"x": left, "y": top, "w": panel.wide, "h": tall}
            panels.append(_panel(panel, len(panels) + 1, place))
            left, height = left + panel.wide, max(height, tall)
        top += height
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["llm-router"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "links": [{"type": "dashboards", "tags": ["llm-router"], "title": "llm-router", "asDropdown": True}],
        "templating": {"list": [_SOURCE, *dashboard.variables]},
        "panels": panels,
    }


_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_SOURCE = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}


def variable(name: str, metric: str) -> dict[str, Any]:
    """A choice of a label's values, all by default."""
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": _DATASOURCE,
        "query": f"label_values({metric}, {name})",
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    instant = panel.kind in ("stat", "table", "bargauge")
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": _DATASOURCE,
            "expr": query,
            "legendFormat": legend,
            "instant": instant,
            "range": not instant,
            **({"format": "table"} if panel.kind == "table" else {}),
        }
        for index, (query, legend) in enumerate(panel.queries)
    ]
    custom = {"fillOpacity": 30, "stacking": {"mode": "normal"}} if panel.stacked else {"fillOpacity": 5}
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": _DATASOURCE,
        "gridPos": place,
        "targets": targets,
        "fieldConfig": {
            "defaults": {**defaults, **({"custom": custom} if panel.kind == "timeseries" else {})},
            "overrides": [],
        },
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}} if panel.kind in ("stat", "bargauge") else {},
    }
