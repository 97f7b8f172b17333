"""What saturates first: gateways and Triton."""

from __future__ import annotations

from router_backend.observability.dashboards import Dashboard, Panel, quantile, rate

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
                    "The router's grows first, or the classifier's where it is on a GPU: add Triton replicas.",
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
                    "Classifications of Triton's own clients from the cache",
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
