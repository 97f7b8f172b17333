"""Rates of a key over two whole systems, each a gateway and a real Triton, on one real Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from router_backend.gateway.keys.auth import new_key
from router_backend.gateway.keys.rates import lease
from tests.support.configs import local_config
from tests.support.redis_server import RedisServer
from tests.support.running import RunningSystem

pytestmark = pytest.mark.slow  # two systems; tests/gateway/keys/test_rates.py holds the sums every day
(ASKS, ASKS_DIGEST), (READS, READS_DIGEST) = new_key(), new_key()
PER_MINUTE, TOKENS = 40, 60
SECONDS = 120.0


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[httpx.Client]]:
    redis = RedisServer(tmp_path_factory.mktemp("redis")).start()
    keys = [
        {"name": "asks", "sha256": ASKS_DIGEST, "requests_per_minute": PER_MINUTE},
        {"name": "reads", "sha256": READS_DIGEST, "tokens_per_minute": TOKENS},
    ]
    systems = []
    for name in ("one", "two"):
        folder = tmp_path_factory.mktemp(name)
        config = local_config(folder, state=redis.url, security={"api_keys": keys})
        systems.append(RunningSystem(folder, config=config).start())
    yield [httpx.Client(base_url=each.gateway, timeout=60, trust_env=False) for each in systems]
    for system in systems:
        system.stop()
    redis.kill()


def chat(gateway: httpx.Client, key: str) -> httpx.Response:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    answer = gateway.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
    assert answer.status_code in (200, 429), answer.text
    return answer


def test_two_gateways_let_through_what_one_would(gateways: list[httpx.Client]) -> None:
    began, granted, left = time.monotonic(), 0, [PER_MINUTE, PER_MINUTE]
    while True:
        answers = [chat(gateway, ASKS) for gateway in gateways]
        granted += sum(answer.status_code == 200 for answer in answers)
        assert all(answer.headers["x-ratelimit-limit-requests"] == str(PER_MINUTE) for answer in answers)
        left = [int(answer.headers["x-ratelimit-remaining-requests"]) for answer in answers]
        if all(answer.status_code == 429 for answer in answers) and not any(left):
            break
        assert time.monotonic() < began + SECONDS
    minutes = (time.monotonic() - began) / 60
    assert PER_MINUTE <= granted <= PER_MINUTE * (1 + minutes) + 2 * lease(PER_MINUTE, 2)


def test_tokens_that_one_gateway_gave_are_missing_at_the_other(gateways: list[httpx.Client]) -> None:
    first, second = gateways
    until = time.monotonic() + SECONDS
    while (answer := chat(first, READS)).status_code == 200:
        assert time.monotonic() < until
    assert answer.json()["error"]["type"] == "tokens"
    assert answer.headers["x-ratelimit-remaining-tokens"] == "0"
    refused = chat(second, READS)
    while refused.status_code == 200:  # it hears within a tenth of a second
        assert time.monotonic() < until
        refused = chat(second, READS)
    assert refused.headers["x-ratelimit-limit-tokens"] == str(TOKENS)
