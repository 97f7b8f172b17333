"""`llm-router up` where decisions are made in the process: the whole system without Triton."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.support.configs import local_config
from tests.support.running import RunningSystem


def test_a_system_without_triton_answers_learns_and_stops(tmp_path: Path) -> None:
    routing = {"host": "in_process", "deadline_ms": 10_000}
    system = RunningSystem(tmp_path, config=local_config(tmp_path, routing=routing)).start()
    try:
        assert "Triton" not in (tmp_path / "up.log").read_text()
        assert not any("tritonserver" in command for command in system.pids().values())
        body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
        answer = httpx.post(f"{system.gateway}/v1/chat/completions", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-router-reason"].startswith(("policy", "explore"))
        given = {"decision_id": answer.headers["x-router-decision-id"], "score": 1.0}
        scored = httpx.post(f"{system.gateway}/v1/feedback", json=given, timeout=60)
        assert scored.json()["accepted"]
    finally:
        assert system.stop() == 0
