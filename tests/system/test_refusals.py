"""What the gateway's user is told when routing refuses the request itself."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.running import RunningSystem


@pytest.mark.parametrize(
    ("changes", "headers", "said"),
    [
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
            {},
            "vision",
        ),
        ({}, {"x-router-policy": "nonsense"}, "isn't configured"),
    ],
)
def test_a_request_that_no_model_can_take_is_a_400(
    system: RunningSystem, changes: dict[str, Any], headers: dict[str, str], said: str
) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4, **changes}
    answer = httpx.post(f"{system.gateway}/v1/chat/completions", json=body, headers=headers, timeout=60)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert said in error["message"]


@pytest.mark.parametrize("length", [2_000, 200_000])
def test_multibyte_text_over_every_limit_of_the_classifier_is_routed(system: RunningSystem, length: int) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "漢字かな😀" * (length // 5)}], "max_tokens": 4}
    decision = httpx.post(f"{system.gateway}/v1/route", json=body, timeout=60)
    if length > 8192 * 4:  # no model's context window holds it, and that is said
        assert decision.status_code == 400
        assert "prompt tokens" in decision.json()["error"]["message"]
    else:
        assert decision.status_code == 200
        assert decision.json()["reason"].partition(":")[0] in ("policy", "explore")
