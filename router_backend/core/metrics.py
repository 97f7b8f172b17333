"""Every metric of the gateway and of our Triton models: name, kind, labels and meaning.

The two processes count by these declarations; docs/metrics.md, dashboards and alerts are written and checked from them,
with neither process at hand. Names are public.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_FAST = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1)
_ANSWER = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)
_FIRST = (0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 30)
_TOKEN = (0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1)
_CHOICE = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_SCORES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

UPSTREAM_STATES = ("closed", "half_open", "open")


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric.

    A histogram's name stands for its series `_bucket`, `_sum` and `_count`. The gateway's come from prometheus_client; on
    Triton, which has no histograms, they are counters.
    """

    source: Literal["gateway", "triton"]
    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


REQUESTS = Declared(
    "gateway",
    "llm_router_requests_total",
    "counter",
    "Finished completion and embedding requests. reason_class: policy, explore, named, fallback, …; status: the HTTP status, 499 if the client left first.",
    ("model", "task", "reason_class", "status", "policy_version"),
)
HTTP_RESPONSES = Declared(
    "gateway",
    "llm_router_http_responses_total",
    "counter",
    "All HTTP responses, health checks included.",
    ("route", "status"),
)
TOKENS = Declared(
    "gateway",
    "llm_router_tokens_total",
    "counter",
    "Tokens as upstreams counted them. cached and cache_write are parts of prompt, reasoning is part of completion.",
    ("model", "task", "policy_version", "kind"),
)
COST_USD = Declared(
    "gateway", "llm_router_cost_usd_total", "counter", "Cost of answers in USD.", ("model", "task", "policy_version")
)
SAVINGS_USD = Declared(
    "gateway",
    "llm_router_savings_usd_total",
    "counter",
    "Savings against the most expensive model for the same tokens, in USD.",
    ("model", "task", "policy_version"),
)
OVERHEAD_SECONDS = Declared(
    "gateway",
    "llm_router_overhead_seconds",
    "histogram",
    "Time that the gateway added: the whole request less the upstream's part.",
    ("reason_class",),
    _FAST,
)
DECISION_SECONDS = Declared(
    "gateway",
    "llm_router_decision_seconds",
    "histogram",
    "Time to a decision, including the call to Triton; the deadline limits it.",
    (),
    _FAST,
)
REQUEST_SECONDS = Declared(
    "gateway",
    "llm_router_request_seconds",
    "histogram",
    "Whole requests, first byte in to last byte out.",
    ("model", "streamed"),
    _ANSWER,
)
FIRST_TOKEN_SECONDS = Declared(
    "gateway",
    "llm_router_first_token_seconds",
    "histogram",
    "Upstream call to first token, of streamed answers.",
    ("model",),
    _FIRST,
)
INTER_TOKEN_SECONDS = Declared(
    "gateway",
    "llm_router_inter_token_seconds",
    "histogram",
    "Mean time between the tokens of one streamed answer.",
    ("model",),
    _TOKEN,
)
IN_FLIGHT_REQUESTS = Declared("gateway", "llm_router_in_flight_requests", "gauge", "Requests that are being answered.")
ROUTING_FALLBACKS = Declared(
    "gateway",
    "llm_router_routing_fallbacks_total",
    "counter",
    "Requests that took the default model because routing failed or was late. A cause that begins with in_process means that the gateway decided in Triton's place.",
    ("cause",),
)
UPSTREAM_FALLBACKS = Declared(
    "gateway",
    "llm_router_upstream_fallbacks_total",
    "counter",
    "Answers from a model other than the chosen one. model: the chosen one; served: the one that answered.",
    ("model", "served"),
)
UPSTREAM_FAILURES = Declared(
    "gateway", "llm_router_upstream_failures_total", "counter", "Failed calls to upstreams.", ("model", "cause")
)
UPSTREAM_RETRIES = Declared(
    "gateway",
    "llm_router_upstream_retries_total",
    "counter",
    "Repeated calls to the same upstream.",
    ("model",),
)
UPSTREAM_RUNNING = Declared(
    "gateway", "llm_router_upstream_running_requests", "gauge", "Calls in progress at an upstream.", ("model",)
)
UPSTREAM_QUEUED = Declared(
    "gateway",
    "llm_router_upstream_queued_requests",
    "gauge",
    "Calls waiting for a free place (max_concurrency) at an upstream.",
    ("model",),
)
UPSTREAM_STATE = Declared(
    "gateway",
    "llm_router_upstream_state",
    "gauge",
    "1 for the current state of an upstream's circuit breaker: closed (healthy), half_open (probing), open (no calls). Each worker has its own breaker; the worst state counts.",
    ("model", "state"),
)
FEEDBACK_REQUESTS = Declared(
    "gateway",
    "llm_router_feedback_requests_total",
    "counter",
    "Calls to /v1/feedback. result: accepted, unknown_decision, refused, unavailable.",
    ("result",),
)
FEEDBACK_REWARD = Declared(
    "gateway",
    "llm_router_feedback_reward",
    "histogram",
    "Rewards learned from accepted feedback.",
    (),
    (-0.5, *_SCORES),
)
EVENT_LOOP_LAG = Declared(
    "gateway",
    "llm_router_event_loop_lag_seconds",
    "histogram",
    "How late the event loop woke up, sampled twenty times a second.",
    (),
    _FAST,
)
EVENT_LOOP_STALL = Declared(
    "gateway",
    "llm_router_event_loop_longest_stall_seconds",
    "gauge",
    "The longest time that one task blocked all requests, in the last one to two minutes.",
)
REPORTS_WAITING = Declared(
    "gateway", "llm_router_reports_waiting", "gauge", "Outcomes not yet durable in the state store."
)
REPORTS_LOST = Declared(
    "gateway",
    "llm_router_reports_lost_total",
    "counter",
    "Outcomes dropped because Triton was away for too long, or because they could not be sent at all.",
)
RATES_AWAY = Declared(
    "gateway",
    "llm_router_rates_away",
    "gauge",
    "1 while the store doesn't answer, so that each gateway enforces its fair share of the keys' rates by itself.",
)
BACKGROUND_FAILURES = Declared(
    "gateway",
    "llm_router_background_failures_total",
    "counter",
    "Errors that ended a round of background work. The work has restarted since; the log says where.",
    ("work",),
)
JOURNAL_FAILURES = Declared(
    "gateway",
    "llm_router_journal_failures_total",
    "counter",
    "Outcomes that could not be written to the journal. Until they are reported, they are only in memory.",
)
SIGNALS = Declared(
    "gateway", "llm_router_signals_total", "counter", "Signals detected in answers after they were sent.", ("signal",)
)
REVIEWS_DROPPED = Declared(
    "gateway",
    "llm_router_reviews_dropped_total",
    "counter",
    "Answers not checked for signals: too large, or too many at once.",
)
RESPONSES_NOT_STORED = Declared(
    "gateway",
    "llm_router_responses_not_stored_total",
    "counter",
    "Answers of the Responses API that could not be stored (`too_large`: responses.max_bytes). They say `store: false`.",
    ("cause",),
)
SCORES_LOST = Declared(
    "gateway",
    "llm_router_scores_lost_total",
    "counter",
    "Scores of signals dropped because Triton was away for too long or refused them.",
)
WORKERS = Declared("gateway", "llm_router_workers", "gauge", "Serving processes of this gateway (gateway.workers).")
WORKER_RESTARTS = Declared(
    "gateway",
    "llm_router_worker_restarts_total",
    "counter",
    "Workers restarted after they ended or stopped answering.",
)
JUDGE_GRADED = Declared(
    "gateway", "llm_router_judge_graded_total", "counter", "Answers graded by the judge.", ("model", "task")
)
JUDGE_COMPARED = Declared(
    "gateway",
    "llm_router_judge_compared_total",
    "counter",
    "Answers that the judge compared with the reference model's. better: `answer`, `reference` or `neither`.",
    ("model", "better"),
)
JUDGE_DROPPED = Declared(
    "gateway",
    "llm_router_judge_dropped_total",
    "counter",
    "Answers chosen for the judge but not graded, by cause.",
    ("cause",),
)
JUDGE_USD = Declared(
    "gateway",
    "llm_router_judge_usd_total",
    "counter",
    "Cost of judgements; where it isn't known, the most that they can cost.",
    ("model",),
)
BATCH_LINES = Declared(
    "gateway",
    "llm_router_batch_lines_total",
    "counter",
    "Batch lines with an answer. result: completed, failed.",
    ("result",),
)
BATCHES = Declared(
    "gateway",
    "llm_router_batches_total",
    "counter",
    "Ended batches. status: completed, failed (its file), expired, cancelled.",
    ("status",),
)
UPSTREAM_BATCHES = Declared(
    "gateway",
    "llm_router_upstream_batches_total",
    "counter",
    "Ended batches at models' own Batch APIs. status: completed, failed, expired (some lines may be answered), cancelled, or lost.",
    ("model", "status"),
)
BATCHES_RUNNING = Declared("gateway", "llm_router_batches_running", "gauge", "Batches in progress at this gateway.")
BUILD_INFO = Declared("gateway", "llm_router_build_info", "gauge", "Always 1; the version is the label.", ("version",))

DECISIONS = Declared(
    "triton",
    "llm_router_decisions_total",
    "counter",
    "Decisions by chosen model, task, kind of reason and policy",
    ("model", "task", "reason", "policy_version"),
)
CHOICE_SECONDS = Declared(
    "triton", "llm_router_choice_seconds", "histogram", "Time of one choice in the router model", (), _CHOICE
)
ROUTING_SECONDS = Declared(
    "triton",
    "llm_router_routing_seconds",
    "histogram",
    "Time from the tokenizer's receipt of a request to its decision",
    (),
    _CHOICE,
)
EXPLORATIONS = Declared(
    "triton", "llm_router_explorations_total", "counter", "Decisions made by the exploration floor", ("model",)
)
EASY_DECISIONS = Declared(
    "triton", "llm_router_easy_decisions_total", "counter", "Decisions on easy prompts (complexity below 0.3)"
)
OVER_ROUTED = Declared(
    "triton",
    "llm_router_over_routed_total",
    "counter",
    "Easy prompts that went to the most expensive candidate",
    ("model",),
)
SHADOW_DECISIONS = Declared(
    "triton",
    "llm_router_shadow_decisions_total",
    "counter",
    "Choices that a shadow policy would have made",
    ("policy", "model"),
)
TASK_SHARE = Declared(
    "triton",
    "llm_router_task_share",
    "gauge",
    "Drift signal: share of a task in about the last 500 decisions",
    ("task",),
)
TASK_CONFIDENCE = Declared(
    "triton", "llm_router_task_confidence", "gauge", "Drift signal: mean confidence in about the last 500"
)
COMPLEXITY_MEAN = Declared(
    "triton", "llm_router_complexity_mean", "gauge", "Drift signal: mean complexity in about the last 500"
)
MODEL_CHANGES = Declared(
    "triton",
    "llm_router_model_changes",
    "gauge",
    "How often the main policy detected a change of a model, by the scores of its answers",
    ("model",),
)
MODEL_CHANGED_SECONDS = Declared(
    "triton",
    "llm_router_model_changed_seconds",
    "gauge",
    "Unix time of the first answer after the last such change",
    ("model",),
)
SOURCE_AGREEMENT = Declared(
    "triton",
    "llm_router_source_agreement",
    "gauge",
    "1 minus the mean difference between a source's scores and people's scores of the same answers",
    ("source",),
)
SOURCE_WEIGHT = Declared(
    "triton",
    "llm_router_source_weight",
    "gauge",
    "Weight of a source's score in learning; a score given through feedback has weight 1",
    ("source",),
)
RECORDS_DROPPED = Declared(
    "triton", "llm_router_records_dropped_total", "counter", "Records lost because the store was down too long"
)
STATE_STORE_UP = Declared("triton", "llm_router_state_store_up", "gauge", "1 if the store answered the last poll")
STATE_STORE_SECONDS = Declared(
    "triton", "llm_router_state_store_seconds", "gauge", "Unix time of the last poll that the store answered"
)
LEARNING_BEHIND = Declared(
    "triton",
    "llm_router_learning_behind_events",
    "gauge",
    "Events of the learning log that the router had not read yet, when it last looked",
)
ARCHIVE_BEHIND = Declared(
    "triton",
    "llm_router_archive_behind_seconds",
    "gauge",
    "Age of the oldest record that isn't in the archive yet; 0 without an archive",
)
STATE_STORE_WRITABLE = Declared(
    "triton",
    "llm_router_state_store_writable",
    "gauge",
    "1 if the store accepted the last feedback or outcome; 0 if it is full, down, misconfigured or another store",
)
FEEDBACK = Declared(
    "triton", "llm_router_feedback_total", "counter", "Feedback by model, task and result", ("model", "task", "result")
)
REWARD = Declared(
    "triton",
    "llm_router_reward",
    "histogram",
    "Learned rewards",
    ("model", "policy_version"),
    (-1.0, -0.5, *_SCORES),
)
FEEDBACK_SCORE = Declared(
    "triton", "llm_router_feedback_score", "histogram", "Scores that were given", ("model", "task"), _SCORES
)
TASK_LABELS = Declared(
    "triton",
    "llm_router_task_labels_total",
    "counter",
    "Feedback with the right task: a confusion matrix",
    ("predicted", "actual", "correct"),
)

ALL = tuple(value for value in list(vars().values()) if isinstance(value, Declared))
