"""Health, speed and load of the models."""

from __future__ import annotations

from router_backend.observability.dashboards import Dashboard, Panel, quantile, rate, variable

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
