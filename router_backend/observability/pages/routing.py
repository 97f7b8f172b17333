"""Who is chosen and why, what is learned of it, and what the classifier sees."""

from __future__ import annotations

from router_backend.observability.dashboards import Dashboard, Panel, quantile, ranged, rate

_EXPLORED = 'reason="explore"'
_CORRECT = 'correct="true"'

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
                        ("sum(llm_router_responses_not_stored_total) or vector(0)", "responses not stored"),
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
