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
    "Completion and embedding requests that ended. reason_class: policy, explore, named, fallback, …; status: the HTTP status, 499 when the client left first.",
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
    "What the same tokens would have cost more at the most expensive model, in USD.",
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
    "Time until a decision was there, Triton's call included; the deadline bounds it.",
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
    "Requests that took the default model because routing failed or was late; causes that begin with in_process: the gateway decided in Triton's place.",
    ("cause",),
)
UPSTREAM_FALLBACKS = Declared(
    "gateway",
    "llm_router_upstream_fallbacks_total",
    "counter",
    "Answers that came from another model than the chosen one, by the chosen model.",
    ("model", "served"),
)
UPSTREAM_FAILURES = Declared(
    "gateway", "llm_router_upstream_failures_total", "counter", "Failed calls of upstreams.", ("model", "cause")
)
UPSTREAM_RETRIES = Declared(
    "gateway",
    "llm_router_upstream_retries_total",
    "counter",
    "Second and later calls of the same upstream.",
    ("model",),
)
UPSTREAM_RUNNING = Declared(
    "gateway", "llm_router_upstream_running_requests", "gauge", "Calls that an upstream works on.", ("model",)
)
UPSTREAM_QUEUED = Declared(
    "gateway",
    "llm_router_upstream_queued_requests",
    "gauge",
    "Calls that wait for a free place (max_concurrency) of an upstream.",
    ("model",),
)
UPSTREAM_STATE = Declared(
    "gateway",
    "llm_router_upstream_state",
    "gauge",
    "1 for the state that an upstream's circuit breaker is in: closed (healthy), half_open (probing), open (not asked). Each worker has its own; the worst counts.",
    ("model", "state"),
)
FEEDBACK_REQUESTS = Declared(
    "gateway",
    "llm_router_feedback_requests_total",
    "counter",
    "Calls of /v1/feedback. result: accepted, unknown_decision, refused, unavailable.",
    ("result",),
)
FEEDBACK_REWARD = Declared(
    "gateway", "llm_router_feedback_reward", "histogram", "Rewards that accepted feedback taught.", (), (-0.5, *_SCORES)
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
    "The longest time that one piece of work held up all requests, in the last one to two minutes.",
)
REPORTS_WAITING = Declared(
    "gateway", "llm_router_reports_waiting", "gauge", "Outcomes not yet durable in the state store."
)
REPORTS_LOST = Declared(
    "gateway",
    "llm_router_reports_lost_total",
    "counter",
    "Outcomes dropped because Triton was away for too long, or they could not be sent at all.",
)
RATES_AWAY = Declared(
    "gateway",
    "llm_router_rates_away",
    "gauge",
    "1 while the store doesn't answer, so that each gateway holds its fair share of the keys' rates by itself.",
)
BACKGROUND_FAILURES = Declared(
    "gateway",
    "llm_router_background_failures_total",
    "counter",
    "Errors that ended a round of background work, which has begun again since; the log says where.",
    ("work",),
)
JOURNAL_FAILURES = Declared(
    "gateway",
    "llm_router_journal_failures_total",
    "counter",
    "Outcomes that could not be written to the journal: they are in memory only until they are reported.",
)
SIGNALS = Declared(
    "gateway", "llm_router_signals_total", "counter", "What was noticed in answers after they went out.", ("signal",)
)
REVIEWS_DROPPED = Declared(
    "gateway",
    "llm_router_reviews_dropped_total",
    "counter",
    "Answers that were not looked at for signals: too large, or too many at once.",
)
RESPONSES_NOT_STORED = Declared(
    "gateway",
    "llm_router_responses_not_stored_total",
    "counter",
    "Answers of the Responses API that were to be stored and could not be (`too_large`: responses.max_bytes); they say `store: false`.",
    ("cause",),
)
SCORES_LOST = Declared(
    "gateway",
    "llm_router_scores_lost_total",
    "counter",
    "Scores of signals dropped because Triton was away for too long or refused them.",
)
WORKERS = Declared("gateway", "llm_router_workers", "gauge", "Processes of this gateway that serve (gateway.workers).")
WORKER_RESTARTS = Declared(
    "gateway",
    "llm_router_worker_restarts_total",
    "counter",
    "Workers that ended, or answered no more, and were started again.",
)
JUDGE_GRADED = Declared(
    "gateway", "llm_router_judge_graded_total", "counter", "Answers that the judge has graded.", ("model", "task")
)
JUDGE_COMPARED = Declared(
    "gateway",
    "llm_router_judge_compared_total",
    "counter",
    "Answers that the judge has compared with the reference model's, by model and which was better: `answer`, `reference` or `neither`.",
    ("model", "better"),
)
JUDGE_DROPPED = Declared(
    "gateway",
    "llm_router_judge_dropped_total",
    "counter",
    "Answers that were chosen for the judge and not graded, by cause.",
    ("cause",),
)
JUDGE_USD = Declared(
    "gateway",
    "llm_router_judge_usd_total",
    "counter",
    "What judgements have cost; the most that they can cost where it isn't known.",
    ("model",),
)
BATCH_LINES = Declared(
    "gateway",
    "llm_router_batch_lines_total",
    "counter",
    "Lines of batches that have got an answer. result: completed, failed.",
    ("result",),
)
BATCHES = Declared(
    "gateway",
    "llm_router_batches_total",
    "counter",
    "Batches that have ended. status: completed, failed (its file), expired, cancelled.",
    ("status",),
)
UPSTREAM_BATCHES = Declared(
    "gateway",
    "llm_router_upstream_batches_total",
    "counter",
    "Batches at models' own Batch APIs that have ended. status: completed, failed, expired (some lines may be answered), cancelled, or lost.",
    ("model", "status"),
)
BATCHES_RUNNING = Declared("gateway", "llm_router_batches_running", "gauge", "Batches that this gateway works on.")
BUILD_INFO = Declared("gateway", "llm_router_build_info", "gauge", "Always 1; the version is the label.", ("version",))

DECISIONS = Declared(
    "triton",
    "llm_router_decisions_total",
    "counter",
    "Decisions by chosen model, task, kind of reason, policy",
    ("model", "task", "reason", "policy_version"),
)
CHOICE_SECONDS = Declared(
    "triton", "llm_router_choice_seconds", "histogram", "Time of one choice in the router model", (), _CHOICE
)
ROUTING_SECONDS = Declared(
    "triton",
    "llm_router_routing_seconds",
    "histogram",
    "From the tokenizer's receipt of a request to its decision",
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
    "Drift signal: share of a task in the last 500 decisions or so",
    ("task",),
)
TASK_CONFIDENCE = Declared(
    "triton", "llm_router_task_confidence", "gauge", "Drift signal: mean confidence in the last 500 or so"
)
COMPLEXITY_MEAN = Declared(
    "triton", "llm_router_complexity_mean", "gauge", "Drift signal: mean complexity in the last 500 or so"
)
MODEL_CHANGES = Declared(
    "triton",
    "llm_router_model_changes",
    "gauge",
    "How often the main policy has found a model changed, by its answers' scores",
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
    "1 less the mean difference between a source's scores and people's of the same answers",
    ("source",),
)
SOURCE_WEIGHT = Declared(
    "triton",
    "llm_router_source_weight",
    "gauge",
    "What a score of a source weighs in learning, where somebody's weighs 1",
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
    "Events of the log of learning that the router has still to read, when it looked last",
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
    "1 if the store took the last feedback or outcome, 0 if it refused: it is full, down, misconfigured or another one",
)
FEEDBACK = Declared(
    "triton", "llm_router_feedback_total", "counter", "Feedback by model, task and result", ("model", "task", "result")
)
REWARD = Declared(
    "triton",
    "llm_router_reward",
    "histogram",
    "Rewards that were learned",
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
