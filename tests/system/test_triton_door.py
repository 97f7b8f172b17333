"""Requests that have ended a server: it answers each of them, and lives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from llm_router_client import Hints, RouterClient
from tests.support.running import RunningSystem


def generate(system: RunningSystem, model: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{system.triton}/v2/models/{model}/generate", json=body, timeout=60)


def servers(system: RunningSystem) -> set[int]:
    """Process ids of tritonserver: another one was started where the first has ended."""
    return {pid for pid, command in system.pids().items() if command.partition(" ")[0].endswith("tritonserver")}


@pytest.mark.parametrize("model", ["llm_router", "llm_router_bls"])
@pytest.mark.parametrize("value", [1.0, 5, "0.5", 1e3])
def test_hints_are_numbers_of_any_kind(system: RunningSystem, model: str, value: Any) -> None:
    response = generate(system, model, text_input="hi", max_tokens=2, max_cost=value)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("model", ["route", "llm_router", "llm_router_bls"])
@pytest.mark.parametrize("value", [True, -1.0, "nan", "much"])
def test_hints_that_are_none_are_refused(system: RunningSystem, model: str, value: Any) -> None:
    response = generate(system, model, text_input="hi", max_tokens=2, max_cost=value)
    assert response.status_code == 400
    assert "max_cost must be a number" in response.text


def test_floats_among_open_streams_do_not_end_the_server(system: RunningSystem) -> None:
    before = servers(system)

    def ask(number: int) -> str:
        with RouterClient(f"triton+grpc://{system.grpc}", timeout=120) as client:
            hints = Hints(max_cost=0.01 + number, min_quality=0.0)
            return "".join(chunk.text for chunk in client.stream("hi", hints=hints, max_tokens=2))

    with ThreadPoolExecutor(6) as pool:
        assert len(list(pool.map(ask, range(36)))) == 36
    assert servers(system) == before


def test_a_request_without_inputs_says_what_it_wants(system: RunningSystem) -> None:
    response = generate(system, "llm_router_bls")
    assert response.status_code == 400
    assert "no prompt" in response.text
