"""Whose fault a failure is: what `router.yaml` earned is no client's, and what one client's requests provoke is no arm's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from router_backend.forwarding.engine import Engine
from router_backend.forwarding.failure import ForwardError
from tests.support.asking import ask, labels
from tests.support.scripted_upstream import Script, ScriptedUpstream

EngineFor = Callable[..., Engine]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, {"message": "model 'llama3' not found, try pulling it first"}),  # Ollama
        (404, {"detail": "Function id '0' version 'null': Not found for account"}),  # NVIDIA's API catalogue
        (404, {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}),
        (404, {"message": "The model `x` does not exist.", "param": "model", "code": "model_not_found"}),
        (400, {"message": "Invalid model: x", "type": "invalid_model", "code": "invalid_model"}),
        (402, {"message": "Insufficient balance"}),
        (405, {"message": "Method Not Allowed"}),
        (410, {"message": "The model was retired"}),
        (451, {"message": "not in your country"}),
    ],
)
async def test_what_router_yaml_earned_goes_to_the_next_arm_and_counts_against_the_arm(
    engine_for: EngineFor,
    upstream: ScriptedUpstream,
    second: ScriptedUpstream,
    status: int,
    error: dict[str, Any],
    stream: bool,
) -> None:
    upstream.script(Script(status=status, error=error))
    engine = engine_for(upstream, second, breaker={"failures": 2})
    for _ in range(2):
        answer = await engine.forward(ask("a", "b", stream=stream))
        assert labels(answer.progress.fallbacks) == (f"a:http_{status}",)
    assert len(upstream.requests) == 2  # none was tried again
    assert engine.health() == {"a": "open", "b": "closed"}


async def test_a_named_model_that_is_not_there_is_told_as_the_arms_fault(
    engine_for: EngineFor, upstream: ScriptedUpstream
) -> None:
    upstream.script(Script(status=404, error={"message": "model 'llama3' not found"}))
    with pytest.raises(ForwardError, match=r"model 'llama3' not found.*check upstream\.base_url") as failed:
        await engine_for(upstream).forward(ask("a", named=True))
    assert (failed.value.error.status, failed.value.error.code) == (502, "http_404")


async def test_one_clients_requests_take_no_arm_away_from_others(
    engine_for: EngineFor, upstream: ScriptedUpstream
) -> None:
    engine = engine_for(upstream, breaker={"failures": 2}, retries={"attempts": 1})
    await engine.forward(ask("a", client="app"))
    for _ in range(6):  # llama.cpp answers 500 to a type of tool that it doesn't know
        upstream.script(Script(status=500, error={"message": "unknown tool type"}))
        with pytest.raises(ForwardError):
            await engine.forward(ask("a", client="odd", tools=[{"type": "?"}]))
    assert engine.health() == {"a": "closed"}
    upstream.script(Script())
    await engine.forward(ask("a", client="app"))


async def test_a_broken_upstream_opens_for_its_only_client(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    engine = engine_for(upstream, breaker={"failures": 2}, retries={"attempts": 1})
    await engine.forward(ask("a", client="app"))
    for _ in range(2):
        upstream.script(Script(status=500))
        with pytest.raises(ForwardError):
            await engine.forward(ask("a", client="app"))
    assert engine.health() == {"a": "open"}
