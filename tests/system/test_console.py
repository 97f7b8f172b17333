"""The operator's console on the real system: Triton's `feedback` model answers it."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.running import RunningSystem


def test_what_was_asked_and_scored_is_read_by_operators(system: RunningSystem) -> None:
    with httpx.Client(base_url=system.gateway, timeout=60, trust_env=False) as http:
        body = {"model": "auto", "messages": [{"role": "user", "content": "What is 17 * 23?"}], "max_tokens": 4}
        answer = http.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        decision_id = answer.headers["x-router-decision-id"]
        scored = http.post("/v1/feedback", json={"decision_id": decision_id, "score": 0.75})
        assert scored.status_code == 200, scored.text  # so decision and outcome are durable, too

        def read(path: str) -> dict[str, Any]:
            response = http.get(f"/v1/admin/{path}")
            assert response.status_code == 200, response.text
            found: dict[str, Any] = response.json()
            return found

        rows = {row["decision_id"]: row for row in read("decisions?since=1h&limit=200")["data"]}
        assert (rows[decision_id]["score"], rows[decision_id]["status"]) == (0.75, 200)
        told = read(f"decisions/{decision_id}")
        assert (told["model"], told["feedback"]["score"]) == (answer.headers["x-router-model"], 0.75)
        assert {arm["model"] for arm in told["arms"]} == {"llama3-8b", "llama3-70b", "nemotron-49b"}
        assert all(arm["cost_of_same_tokens"] > 0 for arm in told["arms"])
        assert "17 * 23" not in str(told)
        learning = read("learning?since=1h")
        assert learning["coverage"]["scored"] >= 1
        assert learning["models"][told["model"]]["scored"] >= 1
        assert (learning["changes"], learning["complete"]) == ({}, True)
        models = {row["model"]: row for row in read("models?since=1h")["data"]}
        assert models[told["model"]]["requests"] >= 1
        assert {row["breaker"] for row in models.values()} == {"closed"}
        assert read("spending")["data"] == []
