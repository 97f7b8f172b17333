"""Does routing pay, and for whom are requests answered?"""

from __future__ import annotations

from router_backend.observability.dashboards import Dashboard, Panel, quantile, ranged, rate, stat

_ANSWERED = 'status="200"'
_ACCEPTED = 'result="accepted"'

OVERVIEW = Dashboard(
    "llm-router-overview",
    "llm-router: overview",
    [
        (
            "Does routing pay?",
            [
                stat("Cost", "currencyUSD", ranged("llm_router_cost_usd_total"), "Of all answers in the time shown."),
                stat(
                    "Saved",
                    "currencyUSD",
                    ranged("llm_router_savings_usd_total"),
                    "What the same tokens would have cost more at the most expensive model.",
                ),
                stat(
                    "Saved of always-best",
                    "percentunit",
                    f"{ranged('llm_router_savings_usd_total')} / ({ranged('llm_router_savings_usd_total')}"
                    f" + {ranged('llm_router_cost_usd_total')})",
                ),
                stat(
                    "Mean score",
                    "percentunit",
                    f"{ranged('llm_router_feedback_score_sum')} / {ranged('llm_router_feedback_score_count')}",
                    "Of the answers that somebody scored: savings that cost quality show here.",
                ),
                stat(
                    "Feedback coverage",
                    "percentunit",
                    # Scores also come for decisions of before the range.
                    f"clamp_max({ranged('llm_router_feedback_total', matchers=_ACCEPTED)}"
                    f" / {ranged('llm_router_decisions_total')}, 1)",
                    "Share of decisions that got a score.",
                ),
                stat(
                    "Answered",
                    "percentunit",
                    f"{ranged('llm_router_requests_total', matchers=_ANSWERED)} / {ranged('llm_router_requests_total')}",
                ),
                Panel(
                    "Cost by model",
                    "currencyUSD",
                    [(f"{rate('llm_router_cost_usd_total', 'model')} * 3600", "{{model}} per hour")],
                    stacked=True,
                ),
                Panel(
                    "Saved by task",
                    "currencyUSD",
                    [(f"{rate('llm_router_savings_usd_total', 'task')} * 3600", "{{task}} per hour")],
                    stacked=True,
                ),
                Panel(
                    "Saved by policy version",
                    "currencyUSD",
                    [(f"{rate('llm_router_savings_usd_total', 'policy_version')} * 3600", "{{policy_version}}")],
                ),
            ],
        ),
        (
            "Requests",
            [
                Panel("By model", "reqps", [(rate("llm_router_requests_total", "model"), "{{model}}")], stacked=True),
                Panel("By status", "reqps", [(rate("llm_router_requests_total", "status"), "{{status}}")]),
                Panel(
                    "Why this model",
                    "reqps",
                    [(rate("llm_router_requests_total", "reason_class"), "{{reason_class}}")],
                    "named: the client chose; fallback: routing failed or was late; explore: the exploration floor.",
                ),
                Panel(
                    "Routing overhead",
                    "s",
                    [
                        (quantile(0.5, "llm_router_overhead_seconds"), "p50"),
                        (quantile(0.99, "llm_router_overhead_seconds"), "p99"),
                    ],
                    "The whole request less the upstream's part.",
                ),
                Panel(
                    "Time to first token",
                    "s",
                    [(quantile(0.95, "llm_router_first_token_seconds", "model"), "{{model}} p95")],
                ),
                Panel(
                    "Tokens",
                    "short",
                    [(rate("llm_router_tokens_total", "kind"), "{{kind}} per second")],
                    "cached and cache_write are parts of prompt, reasoning is part of completion.",
                ),
            ],
        ),
    ],
)
