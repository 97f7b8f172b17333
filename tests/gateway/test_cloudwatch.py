"""With `telemetry.cloudwatch_namespace` the access log's lines say what CloudWatch shall count."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from tests.gateway.conftest import Serve
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream

SECTIONS: dict[str, Any] = {"gateway": {"access_log": True}, "telemetry": {"cloudwatch_namespace": "router"}}


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Of the access log, as they come."""
    found: list[dict[str, Any]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(json.loads(record.getMessage()))

    logger, handler = logging.getLogger("llm_router.access"), Handler()
    monkeypatch.setattr(logger, "handlers", [handler])
    caplog.set_level(logging.INFO, "llm_router.access")
    return found


async def test_a_routed_answer_and_its_score_are_counted(
    serve: Serve,
    triton: ScriptedTriton,
    upstream: ScriptedUpstream,
    second: ScriptedUpstream,
    lines: list[dict[str, Any]],
) -> None:
    gateway = await serve(upstream, second, triton=triton, **SECTIONS)
    answer = await gateway.chat()
    assert answer.status_code == 200
    made = lines[-1]
    assert made["model"] == "a"
    assert made["decision_ms"] > 0
    assert (made["most_expensive"], made["fallback"]) == (0, 0)
    assert made["tokens"] == made["prompt_tokens"] + made["completion_tokens"]
    assert [each["Namespace"] for each in made["_aws"]["CloudWatchMetrics"]] == ["router", "router"]
    for task, right in ((triton.task, 1), ("math", 0)):
        answer = await gateway.chat()
        score = {"decision_id": answer.headers["x-router-decision-id"], "score": 1, "task": task}
        assert (await gateway.http.post("/v1/feedback", json=score)).status_code == 200
        assert (lines[-1]["task_correct"], lines[-1]["feedback_unavailable"]) == (right, 0)


async def test_the_default_model_without_triton_is_a_fallback(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, lines: list[dict[str, Any]]
) -> None:
    gateway = await serve(upstream, second, **SECTIONS)
    assert (await gateway.chat()).status_code == 200
    assert lines[-1]["fallback"] == 1
    assert (await gateway.chat(model="b")).status_code == 200
    assert lines[-1]["most_expensive"] == 1
    assert "fallback" not in lines[-1]


async def test_without_a_namespace_a_line_is_plain(
    serve: Serve, triton: ScriptedTriton, upstream: ScriptedUpstream, lines: list[dict[str, Any]]
) -> None:
    gateway = await serve(upstream, triton=triton, gateway={"access_log": True})
    assert (await gateway.chat()).status_code == 200
    assert "_aws" not in lines[-1]
    assert lines[-1]["most_expensive"] is None  # there is one price
