"""Lines that CloudWatch reads metrics out of: each named metric is there as a number, whatever the line holds."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router_backend.core.emf import METRICS, with_metrics

LINE = {
    "time": 1764000000.5,
    "route": "/v1/chat/completions",
    "status": 200,
    "model": "small",
    "reason": "policy",
    "decision_ms": 3.25,
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "cost_usd": 0.002,
    "most_expensive": False,
    "upstream_ms": 800.0,
}


def metrics(line: dict[str, Any]) -> dict[tuple[str, ...], set[str]]:
    """Names by the dimensions they have."""
    directives = line["_aws"]["CloudWatchMetrics"]
    return {tuple(each["Dimensions"][0]): {metric["Name"] for metric in each["Metrics"]} for each in directives}


def test_a_completion_names_its_metrics() -> None:
    line = with_metrics(LINE, "router")
    assert metrics(line) == {
        (): {"decision_ms", "upstream_ms", "tokens", "cost_usd", "most_expensive", "fallback"},
        ("model",): {"upstream_ms", "tokens", "cost_usd"},
    }
    assert (line["tokens"], line["most_expensive"], line["fallback"]) == (15, 0, 0)
    assert line["_aws"]["Timestamp"] == 1764000000500
    assert {key: line[key] for key in LINE if key != "most_expensive"} == {
        key: value for key, value in LINE.items() if key != "most_expensive"
    }


def test_feedback_names_its_own() -> None:
    line = {"time": 1.0, "route": "/v1/feedback", "status": 503}
    assert metrics(with_metrics(line, "router")) == {(): {"feedback_unavailable"}}
    assert with_metrics(line, "router")["feedback_unavailable"] == 1
    right = with_metrics({**line, "status": 200, "task_correct": True}, "router")
    assert (right["task_correct"], right["feedback_unavailable"]) == (1, 0)


def test_a_named_model_is_no_fallback() -> None:
    assert "fallback" not in metrics(with_metrics({**LINE, "reason": "named"}, "router"))[()]


def test_other_lines_stay_as_they_are() -> None:
    line = {"time": 1.0, "route": "/health/live", "status": 200, "ms": 0.1}
    assert with_metrics(line, "router") == line


values = st.none() | st.booleans() | st.integers(0, 10**9) | st.floats(0, 1e9) | st.text(max_size=5)


@given(fields=st.dictionaries(st.sampled_from([metric.name for metric in METRICS] + ["model", "reason"]), values))
def test_every_named_metric_is_a_number_of_its_line(fields: dict[str, Any]) -> None:
    line = with_metrics({"time": 5.0, "route": "/v1/feedback", "status": 200, **fields}, "router")
    for dimensions, names in metrics(line).items():
        assert all(type(line[name]) is float for name in names)
        assert all(isinstance(line[dimension], str) for dimension in dimensions)
