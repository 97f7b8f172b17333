"""Alerts and recording rules, as Prometheus reads them. Rates are taken over all replicas.

An expression that divides by traffic is silent without traffic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

TOKENS_PER_DAY = 50_000_000  # of one model; the chart's monitoring.prometheusRule.tokensPerDay replaces it
_RUNBOOK = "docs/operations.md#"


@dataclass(frozen=True, slots=True)
class Alarm:
    """The alert as CloudWatch has it, over a metric of the access log (core/emf.py)."""

    metric: str
    statistic: str  # Average, Sum, Maximum, or a percentile such as p99
    comparison: Literal["GreaterThanThreshold", "LessThanThreshold"]
    threshold: float
    period: int  # seconds of one value
    periods: int = 1  # values in a row
    by_model: bool = False  # one alarm a model; `threshold` is then a default


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert; `summary` and `action` may name labels by {{ $labels.x }} and the value by {{ $value }}.

    Apart: what is measured, which has a value whenever there is traffic, and the condition, which mostly is false.
    """

    name: str
    measure: str
    condition: str
    after: str
    severity: str
    summary: str
    action: str
    alarm: Alarm | None = None  # None: nothing in a log tells it

    @property
    def expression(self) -> str:
        return f"{self.measure} {self.condition}"

    def rule(self) -> dict[str, Any]:
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.after,
            "labels": {"severity": self.severity},
            "annotations": {
                "summary": self.summary,
                "description": self.action,
                "runbook": f"{_RUNBOOK}{self.name.lower()}",
            },
        }


# The costliest model is the one whose tokens cost most: recorded, so that the alert needs no name of a model.
RECORDED = {
    "llm_router:requests:rate5m": "sum by (model) (rate(llm_router_requests_total[5m]))",
    "llm_router:usd_per_token:1h": "sum by (model) (increase(llm_router_cost_usd_total[1h]))"
    ' / sum by (model) (increase(llm_router_tokens_total{kind=~"prompt|completion"}[1h]))',
    "llm_router:cost_usd:rate1h": "sum by (model) (rate(llm_router_cost_usd_total[1h]))",
}

ALERTS = (
    Alert(
        "RoutingAccuracyLow",
        'sum(increase(llm_router_task_labels_total{correct="true"}[1h])) / sum(increase(llm_router_task_labels_total[1h]))',
        "< 0.7 and sum(increase(llm_router_task_labels_total[1h])) > 20",
        "10m",
        "warning",
        "The classifier was right for {{ $value | humanizePercentage }} of the labelled feedback of the last hour.",
        "See the confusion table of the dashboard 'Routing and learning'; retrain on the labelled log, or roll back.",
        Alarm("task_correct", "Average", "LessThanThreshold", 0.7, period=3600, periods=3),
    ),
    Alert(
        "ExpensiveModelShareHigh",
        "max(topk(1, llm_router:usd_per_token:1h > 0) * 0 + on (model)"
        " sum by (model) (increase(llm_router_requests_total[1h])))"
        " / sum(increase(llm_router_requests_total[1h]))",
        "> 0.5",
        "15m",
        "warning",
        "The most expensive model answers {{ $value | humanizePercentage }} of the requests.",
        "Compare with its rewards; raise policy.reward.lambda, set share.max of the model, or accept it.",
        Alarm("most_expensive", "Average", "GreaterThanThreshold", 0.5, period=3600),
    ),
    Alert(
        "DecisionSlow",
        "histogram_quantile(0.99, sum by (le) (rate(llm_router_decision_seconds_bucket[5m])))",
        "> 0.05",
        "10m",
        "warning",
        "The 99th percentile of decisions is {{ $value | humanizeDuration }}; the target is 50 ms.",
        "Look at the queue of `router`, or of `classifier` on a GPU: add cores or Triton replicas, or put the classifier on a GPU.",
        Alarm("decision_ms", "p99", "GreaterThanThreshold", 50, period=300, periods=2),
    ),
    Alert(
        "TokenBudgetExceeded",
        'sum by (model) (increase(llm_router_tokens_total{kind=~"prompt|completion"}[1d]))',
        f"> {TOKENS_PER_DAY}",
        "5m",
        "warning",
        "{{ $labels.model }} used {{ $value | humanize }} tokens in a day.",
        "See who: llm-router report --since 1d, by key; set usd_per_day of a key, or raise the budget.",
        Alarm("tokens", "Sum", "GreaterThanThreshold", TOKENS_PER_DAY, period=86400, by_model=True),
    ),
    Alert(
        "CostAnomaly",
        "llm_router:cost_usd:rate1h",
        "> 3 * avg_over_time(llm_router:cost_usd:rate1h[1d] offset 1h) and llm_router:cost_usd:rate1h * 3600 > 0.1",
        "15m",
        "warning",
        "{{ $labels.model }} costs more than three times its mean of the day before.",
        "llm-router report --since 2h shows the key and the task; a loop in a client is the usual cause.",
    ),
    Alert(
        "OverRouting",
        "(sum(increase(llm_router_over_routed_total[1h])) or vector(0)) / sum(increase(llm_router_easy_decisions_total[1h]))",
        "> 0.3 and sum(increase(llm_router_easy_decisions_total[1h])) > 20",
        "15m",
        "info",
        "{{ $value | humanizePercentage }} of the easy prompts go to the most expensive candidate.",
        "Raise policy.reward.lambda, or look whether cheap models get bad scores for easy prompts.",
    ),
    Alert(
        "UpstreamDown",
        'max by (model) (llm_router_upstream_state{state="open"})',
        "== 1",
        "2m",
        "critical",
        "The circuit breaker of {{ $labels.model }} is open; its requests go to other models.",
        "Look at the model's pods and at llm_router_upstream_failures_total by cause.",
    ),
    Alert(
        "NoFeedback",
        "sum(increase(llm_router_decisions_total[6h]))",
        '> 100 unless sum(increase(llm_router_feedback_total{result="accepted"}[6h])) > 0',
        "30m",
        "warning",
        "{{ $value | humanize }} decisions in six hours, and no feedback: the bandit learns nothing.",
        "Check that clients send POST /v1/feedback with the x-router-decision-id of the answer.",
    ),
    Alert(
        "StateStoreLag",
        "max(time() - llm_router_state_store_seconds)",
        "> 30 or max(llm_router_reports_waiting) > 1000",
        "2m",
        "critical",
        "The state store lags: {{ $value | humanize }} seconds behind, or as many outcomes waiting.",
        "Check Redis or the volume. Routing goes on with what is known; records wait in memory and are then dropped.",
    ),
    Alert(
        "ArchiveBehind",
        "max(llm_router_archive_behind_seconds)",
        "> 3600",
        "15m",
        "warning",
        "The archive lacks what is {{ $value | humanizeDuration }} old. Redis removes it after retention_days all the same.",
        "The archiver's log says why: credentials, the bucket, a full disk, or it doesn't run (llm-router archive).",
    ),
    Alert(
        "StateStoreRefuses",
        "min(llm_router_state_store_writable)",
        "< 1",
        "1m",
        "critical",
        "The state store refuses feedback and outcomes: nothing is learned, and budgets don't count.",
        "Triton's log says why: full, down, misconfigured, or another store than before. Outcomes wait at the gateways meanwhile.",
        Alarm("feedback_unavailable", "Maximum", "GreaterThanThreshold", 0, period=60),
    ),
    Alert(
        "RoutingFallsBack",
        "(sum(rate(llm_router_routing_fallbacks_total[5m])) or vector(0)) / sum(rate(llm_router_requests_total[5m]))",
        "> 0.05",
        "10m",
        "warning",
        "{{ $value | humanizePercentage }} of the requests take the default model because routing failed or was late.",
        "The cause is the label of llm_router_routing_fallbacks_total; timeout means Triton is too busy or too far.",
        Alarm("fallback", "Average", "GreaterThanThreshold", 0.05, period=300, periods=2),
    ),
)


def rules() -> dict[str, Any]:
    """The rules file (and the `spec` of a PrometheusRule)."""
    recorded = [{"record": name, "expr": expression} for name, expression in RECORDED.items()]
    return {
        "groups": [
            {"name": "llm-router.recorded", "rules": recorded},
            {"name": "llm-router.alerts", "rules": [alert.rule() for alert in ALERTS]},
        ]
    }
