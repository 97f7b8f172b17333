"""What the four dashboards show."""

from __future__ import annotations

from router_backend.observability.dashboards import Dashboard, Panel, quantile, ranged, rate, stat, variable

_ANSWERED = 'status="200"'
_ACCEPTED = 'result="accepted"'
_EXPLORED = 'reason="explore"'
_CORRECT = 'correct="true"'

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
                    "cached is part of prompt, reasoning is part of completion.",
                ),
            ],
        ),
    ],
)

ROUTING = Dashboard(
    "llm-router-routing",
    "llm-router: routing and learning",
    [
        (
            "Decisions",
            [
                Panel(
                    "Share by model",
                    "percentunit",
                    [
                        (
                            f"{rate('llm_router_decisions_total', 'model')} / on () group_left ()"
                            f" {rate('llm_router_decisions_total')}",
                            "{{model}}",
                        )
                    ],
                    stacked=True,
                ),
                Panel(
                    "By policy version",
                    "reqps",
                    [(rate("llm_router_decisions_total", "policy_version"), "{{policy_version}}")],
                ),
                Panel(
                    "Exploration share",
                    "percentunit",
                    [
                        (
                            f"{rate('llm_router_decisions_total', matchers=_EXPLORED)}"
                            f" / {rate('llm_router_decisions_total')} or vector(0)",
                            "explored",
                        )
                    ],
                    "Decisions of the exploration floor; about policy.epsilon once no model is new.",
                ),
                Panel(
                    "Decision time at the gateway",
                    "s",
                    [
                        (quantile(0.5, "llm_router_decision_seconds"), "p50"),
                        (quantile(0.99, "llm_router_decision_seconds"), "p99"),
                    ],
                    "Triton's call included. routing.deadline_ms bounds it.",
                ),
                Panel(
                    "Decision time in Triton",
                    "s",
                    [
                        (quantile(0.99, "llm_router_routing_seconds"), "tokenizer to decision, p99"),
                        (quantile(0.99, "llm_router_choice_seconds"), "choice alone, p99"),
                    ],
                ),
                Panel(
                    "Easy prompts to the most expensive model",
                    "percentunit",
                    [
                        (
                            f"({rate('llm_router_over_routed_total')} or vector(0))"
                            f" / {rate('llm_router_easy_decisions_total')}",
                            "over-routed",
                        )
                    ],
                    "Complexity below 0.3.",
                ),
            ],
        ),
        (
            "Learning",
            [
                Panel(
                    "Reward by model",
                    "short",
                    [
                        (
                            f"{rate('llm_router_reward_sum', 'model')} / {rate('llm_router_reward_count', 'model')}",
                            "{{model}}",
                        )
                    ],
                    "Mean of the positive part; see the median beside it.",
                ),
                Panel("Median reward", "short", [(quantile(0.5, "llm_router_reward", "model"), "{{model}}")]),
                Panel(
                    "Score by task",
                    "percentunit",
                    [
                        (
                            f"{rate('llm_router_feedback_score_sum', 'task')}"
                            f" / {rate('llm_router_feedback_score_count', 'task')}",
                            "{{task}}",
                        )
                    ],
                ),
                Panel(
                    "Feedback",
                    "reqps",
                    [(rate("llm_router_feedback_total", "result"), "{{result}}")],
                    "duplicate: the decision had a score; the first is kept.",
                ),
                Panel(
                    "Behind the state store",
                    "s",
                    [("max(time() - llm_router_state_store_seconds)", "worst replica")],
                ),
                Panel(
                    "Records waiting and lost",
                    "short",
                    [
                        ("sum(llm_router_reports_waiting)", "waiting"),
                        ("sum(llm_router_reports_lost_total)", "lost by gateways"),
                        ("sum(llm_router_scores_lost_total)", "scores lost by gateways"),
                    ],
                ),
            ],
        ),
        (
            "Classifier",
            [
                Panel(
                    "Task drift", "percentunit", [("avg by (task) (llm_router_task_share)", "{{task}}")], stacked=True
                ),
                Panel(
                    "Confidence and complexity",
                    "percentunit",
                    [
                        ("avg(llm_router_task_confidence)", "mean confidence"),
                        ("avg(llm_router_complexity_mean)", "mean complexity"),
                    ],
                ),
                Panel(
                    "Right by labelled feedback",
                    "percentunit",
                    [
                        (
                            f"{ranged('llm_router_task_labels_total', matchers=_CORRECT)}"
                            f" / {ranged('llm_router_task_labels_total')}",
                            "accuracy",
                        )
                    ],
                ),
                Panel(
                    "Confusion against labelled feedback",
                    "short",
                    [(ranged("llm_router_task_labels_total", "actual, predicted"), "")],
                    kind="table",
                    wide=24,
                ),
            ],
        ),
    ],
)

_OF_MODEL = 'model=~"$model"'

UPSTREAMS = Dashboard(
    "llm-router-upstreams",
    "llm-router: upstreams",
    [
        (
            "Health",
            [
                Panel(
                    "Breakers that are not closed",
                    "short",
                    [(f'sum by (model) (llm_router_upstream_state{{{_OF_MODEL}, state!="closed"}})', "{{model}}")],
                ),
                Panel(
                    "Failures",
                    "short",
                    [
                        (
                            f"{rate('llm_router_upstream_failures_total', 'model, cause')} or vector(0)",
                            "{{model}} {{cause}}",
                        )
                    ],
                ),
                Panel(
                    "Answered by another model",
                    "short",
                    [
                        (
                            f"{rate('llm_router_upstream_fallbacks_total', 'model, served')} or vector(0)",
                            "{{model}} → {{served}}",
                        ),
                        (f"{rate('llm_router_upstream_retries_total', 'model')} or vector(0)", "{{model}} retried"),
                    ],
                ),
            ],
        ),
        (
            "Speed",
            [
                Panel(
                    "Time to first token",
                    "s",
                    [
                        (quantile(0.5, "llm_router_first_token_seconds", "model", _OF_MODEL), "{{model}} p50"),
                        (quantile(0.99, "llm_router_first_token_seconds", "model", _OF_MODEL), "{{model}} p99"),
                    ],
                ),
                Panel(
                    "Between tokens",
                    "s",
                    [(quantile(0.95, "llm_router_inter_token_seconds", "model", _OF_MODEL), "{{model}} p95")],
                ),
                Panel(
                    "Whole answer",
                    "s",
                    [(quantile(0.95, "llm_router_request_seconds", "model", _OF_MODEL), "{{model}} p95")],
                ),
            ],
        ),
        (
            "Load",
            [
                Panel(
                    "Running",
                    "short",
                    [(f"sum by (model) (llm_router_upstream_running_requests{{{_OF_MODEL}}})", "{{model}}")],
                ),
                Panel(
                    "Queued at the router",
                    "short",
                    [(f"sum by (model) (llm_router_upstream_queued_requests{{{_OF_MODEL}}})", "{{model}}")],
                    "They wait for a free place of max_concurrency.",
                ),
                Panel(
                    "Tokens per second",
                    "short",
                    [(rate("llm_router_tokens_total", "model, kind", _OF_MODEL), "{{model}} {{kind}}")],
                ),
            ],
        ),
    ],
    [variable("model", "llm_router_upstream_state")],
)

CAPACITY = Dashboard(
    "llm-router-capacity",
    "llm-router: capacity",
    [
        (
            "What saturates first",
            [
                Panel("Requests in flight", "short", [("sum(llm_router_in_flight_requests)", "in flight")]),
                Panel(
                    "Event loop lag of the gateways",
                    "s",
                    [(quantile(0.99, "llm_router_event_loop_lag_seconds"), "p99")],
                    "Above 10 ms a gateway has too little CPU: add replicas.",
                ),
                Panel(
                    "Responses",
                    "reqps",
                    [(rate("llm_router_http_responses_total", "status"), "{{status}}")],
                ),
            ],
        ),
        (
            "Triton",
            [
                Panel(
                    "Time in queues, a request",
                    "µs",
                    [
                        (
                            f"{rate('nv_inference_queue_duration_us', 'model')}"
                            f" / ({rate('nv_inference_request_success', 'model')} > 0)",
                            "{{model}}",
                        )
                    ],
                    "The classifier's grows first: add Triton replicas or a GPU.",
                ),
                Panel(
                    "Time of computing, a request",
                    "µs",
                    [
                        (
                            f"{rate('nv_inference_compute_infer_duration_us', 'model')}"
                            f" / ({rate('nv_inference_request_success', 'model')} > 0)",
                            "{{model}}",
                        )
                    ],
                ),
                Panel(
                    "Waiting requests",
                    "short",
                    [("sum by (model) (nv_inference_pending_request_count)", "{{model}}")],
                ),
                Panel("Requests by model", "reqps", [(rate("nv_inference_request_success", "model"), "{{model}}")]),
                Panel(
                    "Failures by model",
                    "reqps",
                    [(rate("nv_inference_request_failure", "model, reason"), "{{model}} {{reason}}")],
                ),
                Panel(
                    "Classifications from the cache",
                    "percentunit",
                    [
                        (
                            f"{rate('nv_cache_num_hits_per_model')} / ({rate('nv_cache_num_hits_per_model')}"
                            f" + {rate('nv_cache_num_misses_per_model')})",
                            "hits",
                        )
                    ],
                ),
                Panel("CPU of Triton's machines", "percentunit", [("avg(nv_cpu_utilization)", "in use")]),
                Panel("Memory of Triton's machines", "bytes", [("max(nv_cpu_memory_used_bytes)", "in use")]),
            ],
        ),
    ],
)

PAGES = {"overview": OVERVIEW, "routing": ROUTING, "upstreams": UPSTREAMS, "capacity": CAPACITY}
