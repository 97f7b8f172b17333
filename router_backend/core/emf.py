"""CloudWatch metrics as lines of a log: a line of the access log that names its metrics itself.

CloudWatch Logs reads them out of the line (the embedded metric format,
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html): no agent, no
call to AWS, and a function that is frozen between two requests loses none. Alarms and saved queries name the same fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DIMENSION = "model"


@dataclass(frozen=True, slots=True)
class LineMetric:
    """A field of the access log that is a metric, too. `by_model`: there is one of each model beside the one of all."""

    name: str
    unit: str
    meaning: str
    by_model: bool = False


METRICS = (
    LineMetric("decision_ms", "Milliseconds", "time to a routed decision"),
    LineMetric("upstream_ms", "Milliseconds", "time of the model that answered", by_model=True),
    LineMetric("tokens", "Count", "tokens of prompt and answer, as the model counted them", by_model=True),
    LineMetric("cost_usd", "None", "cost of the answer in USD", by_model=True),
    LineMetric("most_expensive", "None", "1: the most expensive model answered, else 0; its mean is the share"),
    LineMetric("fallback", "None", "1: the default model answered because routing failed, else 0"),
    LineMetric("task_correct", "None", "1: the classifier's task was the one that feedback names, else 0"),
    LineMetric("feedback_unavailable", "None", "1: feedback couldn't be stored, else 0"),
)


def with_metrics(line: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """The line with its metrics named; as it was where it has none of them. `namespace`: CloudWatch's."""
    fields = {**line, **_derived(line)}
    present = [metric for metric in METRICS if isinstance(fields.get(metric.name), int | float)]
    if not present:
        return dict(line)
    values = {metric.name: float(fields[metric.name]) for metric in present}
    directives = [_directive(namespace, [[]], present)]
    if isinstance(line.get(DIMENSION), str) and any(metric.by_model for metric in present):
        directives.append(_directive(namespace, [[DIMENSION]], [metric for metric in present if metric.by_model]))
    return {**fields, **values, "_aws": {"Timestamp": int(line["time"] * 1000), "CloudWatchMetrics": directives}}


def _directive(namespace: str, dimensions: list[list[str]], metrics: list[LineMetric]) -> dict[str, Any]:
    named = [{"Name": metric.name, "Unit": metric.unit} for metric in metrics]
    return {"Namespace": namespace, "Dimensions": dimensions, "Metrics": named}


def _derived(line: Mapping[str, Any]) -> dict[str, int]:
    """What the line says in other words."""
    made = {}
    if line.get("route") == "/v1/feedback":
        made["feedback_unavailable"] = int(line["status"] == 503)
    if isinstance(line.get("prompt_tokens"), int) and isinstance(line.get("completion_tokens"), int):
        made["tokens"] = line["prompt_tokens"] + line["completion_tokens"]
    reason = line.get("reason")
    if isinstance(reason, str) and reason != "named":
        made["fallback"] = int(reason.startswith("fallback"))
    return made
