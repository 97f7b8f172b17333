"""Our metrics on Triton's page: added up in memory, passed on by `flush`."""

from __future__ import annotations

import pytest

from router_backend.contract import TASKS
from router_backend.core import metrics as declared
from router_backend.core.decision import RoutedDecision
from router_backend.steps.metrics import FeedbackMetrics, RouterMetrics
from tests.triton.conftest import Seen


@pytest.fixture(autouse=True)
def no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router_backend.triton.models.metrics.Flusher", lambda *_: None)


def test_a_histogram_is_cumulative_and_its_sum_never_sinks(seen: Seen) -> None:
    from router_backend.triton.models.metrics import Histogram

    histogram = Histogram(declared.REWARD)
    for value in (-0.7, 0.25, 5.0):
        histogram.observe(value, model="small", policy_version="v")
    histogram.flush()
    labels = (("model", "small"), ("policy_version", "v"))
    buckets = {dict(key[1])["le"]: count for key, count in seen.items() if key[0].endswith("_bucket")}
    assert (buckets["-0.5"], buckets["0.2"], buckets["0.3"], buckets["1"], buckets["+Inf"]) == (1, 1, 2, 2, 3)
    assert seen["llm_router_reward_count", labels] == 3
    assert seen["llm_router_reward_sum", labels] == 5.25


def test_nothing_is_counted_twice(seen: Seen) -> None:
    from router_backend.triton.models.metrics import family

    counter = family(declared.DECISIONS)
    counter.add(2, model="small")
    counter.flush()
    counter.flush()
    assert seen == {("llm_router_decisions_total", (("model", "small"),)): 2}


def test_a_decision_counts_by_the_kind_of_its_reason(seen: Seen) -> None:
    from router_backend.triton.models.metrics import Page

    page = Page()
    metrics = RouterMetrics(page)
    metrics.decided(
        RoutedDecision(
            decision_id="1",
            model="large",
            reason="explore",
            task="math",
            task_probabilities=[0.5] * 12,
            complexity=0.1,
            expected_cost={"small": 0.1, "large": 0.9},
            policy_version="v",
            timings_ms={"decision": 2.0, "routing": 3.0},
        )
    )
    metrics.decided(RoutedDecision(decision_id="2", model="small", reason="fallback:classifier"))
    page.flush()
    counted = {dict(labels)["reason"]: n for (name, labels), n in seen.items() if name == "llm_router_decisions_total"}
    assert counted == {"explore": 1, "fallback": 1}
    assert seen["llm_router_explorations_total", (("model", "large"),)] == 1
    assert seen["llm_router_over_routed_total", (("model", "large"),)] == 1
    assert seen["llm_router_choice_seconds_count", ()] == 1  # a fallback chose nothing


def test_the_drift_of_prompts_is_told_by_the_mean_of_those_seen(seen: Seen) -> None:
    from router_backend.triton.models.metrics import Page

    page = Page()
    metrics = RouterMetrics(page)
    for task, sure in (("math", 0.9), ("math", 0.7), ("rewrite", 0.8), ("math", 0.4)):
        rest = (1 - sure) / 11
        probabilities = [sure if each == task else rest for each in TASKS]
        metrics.decided(
            RoutedDecision(
                decision_id="1",
                model="small",
                reason="policy:linucb",
                task=task,
                task_probabilities=probabilities,
                complexity=sure,
                timings_ms={"decision": 1.0},
            )
        )
    metrics.drifted()
    page.flush()
    shares = {dict(labels)["task"]: share for (name, labels), share in seen.items() if name == "llm_router_task_share"}
    assert shares == pytest.approx({task: {"math": 0.75, "rewrite": 0.25}.get(task, 0.0) for task in TASKS})
    assert seen["llm_router_task_confidence", ()] == pytest.approx(0.7)
    assert seen["llm_router_complexity_mean", ()] == pytest.approx(0.7)


def test_feedback_given_twice_teaches_and_counts_once(seen: Seen) -> None:
    from router_backend.triton.models.metrics import Page

    page = Page()
    metrics = FeedbackMetrics(page)
    for duplicate in (False, True):
        metrics.accepted("small", "math", "v", 0.5, 0.4, duplicate)
    metrics.refused("NOT_FOUND")
    page.flush()
    results = {dict(key[1])["result"]: n for key, n in seen.items() if key[0] == "llm_router_feedback_total"}
    assert results == {"accepted": 1, "duplicate": 1, "not_found": 1}
    assert seen["llm_router_feedback_score_count", (("model", "small"), ("task", "math"))] == 1
