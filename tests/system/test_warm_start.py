"""Ready means warm: the first request after "ready" is routed, not answered by the default model because the chain is cold.

LLM_ROUTER_STARTS=20 makes so many starts, and --log-cli-level=INFO tells of each. On a machine that is so busy that later decisions miss the deadline, too, a start says
nothing about warmth.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import httpx
import pytest

from tests.support.configs import local_config
from tests.support.running import RunningSystem

pytestmark = pytest.mark.slow

STARTS = int(os.environ.get("LLM_ROUTER_STARTS", "3"))
LATER = 20
log = logging.getLogger(__name__)


def reason(http: httpx.Client, text: str) -> str:
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], "max_tokens": 1}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-router-reason"]


def test_the_first_request_after_ready_is_routed(tmp_path: Path) -> None:
    cold, telling = [], 0
    for number in range(STARTS):
        folder = tmp_path / str(number)
        folder.mkdir()
        running = RunningSystem(folder, config=local_config(folder, routing={})).start()
        try:
            with httpx.Client(base_url=running.gateway, timeout=60, trust_env=False) as http:
                first, *later = [reason(http, f"Prove that {place} is no square.") for place in range(1 + LATER)]
        finally:
            running.stop()
        late = sum(each.startswith("fallback") for each in later)
        log.info("start %d: %s, then %d of %d late", number + 1, first, late, LATER)
        if not late:
            telling += 1
            if first.startswith("fallback"):
                cold.append(first)
    assert len(cold) * 3 <= telling, f"{len(cold)} of {telling} starts were cold: {cold}"
