"""Separate limits for connect, first token, idle and total: silence is caught wherever it sets in."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from router_backend.core import errors
from router_backend.forwarding.engine import Engine, build_engine
from router_backend.forwarding.failure import ForwardError
from tests.support.arms import model, router_config
from tests.support.asking import ask, labels, payloads, text_of
from tests.support.scripted_upstream import Script, ScriptedUpstream

EngineFor = Callable[..., Engine]
FOREVER = float("inf")


@pytest.mark.parametrize(
    "script",
    [
        Script(latency=FOREVER),
        Script(first_delay=FOREVER),
        Script(hang_after=1),  # the role, but never any content
        Script(frames=[b": keep-alive\n\n"] * 1000, delay=0.01),
    ],
    ids=["no headers", "headers then silence", "role then silence", "comments only"],
)
async def test_first_token(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, script: Script
) -> None:
    upstream.script(script)
    engine = engine_for(upstream, second, timeouts={"first_token": 0.1})
    with pytest.raises(ForwardError) as error:
        await engine.forward(ask("a", stream=True))
    assert (error.value.error.status, error.value.error.code) == (504, "timeout_first_token")
    await upstream.wait_cancelled()
    answer = await engine.forward(ask("a", "b", stream=True))
    assert labels(answer.progress.fallbacks) == ("a:timeout_first_token",)
    assert len(upstream.requests) == 2  # a slow arm is not tried twice
    await answer.aclose()


@pytest.mark.parametrize(
    ("limit", "script"), [("idle", Script(hang_after=3)), ("total", Script(text="x" * 500, delay=0.01))]
)
async def test_mid_stream(engine_for: EngineFor, upstream: ScriptedUpstream, limit: str, script: Script) -> None:
    upstream.script(script)
    answer = await engine_for(upstream, timeouts={limit: 0.2}).forward(ask("a", stream=True))
    chunks = await payloads(answer)
    assert text_of(chunks)
    assert chunks[-1]["error"]["code"] == f"timeout_{limit}"
    assert answer.progress.error == errors.timeout(limit)
    await upstream.wait_cancelled()


async def test_idle_is_between_chunks_not_over_all(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(text="x" * 20, delay=0.05))
    chunks = await payloads(await engine_for(upstream, timeouts={"idle": 0.6}).forward(ask("a", stream=True)))
    assert chunks[-1] == "[DONE]"


@pytest.mark.parametrize("script", [Script(latency=FOREVER), Script(first_delay=FOREVER)])
async def test_a_body_knows_the_total_only(engine_for: EngineFor, upstream: ScriptedUpstream, script: Script) -> None:
    upstream.script(script)
    engine = engine_for(upstream, timeouts={"first_token": 0.01, "total": 0.2})
    with pytest.raises(ForwardError) as error:
        await engine.forward(ask("a"))
    assert (error.value.error.status, error.value.error.code) == (504, "timeout_total")
    await upstream.wait_cancelled()


async def test_connect(second: ScriptedUpstream) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)  # a full backlog drops further SYNs
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        config = router_config(
            [model("a", f"http://127.0.0.1:{port}/v1"), model("b", second.base_url)],
            timeouts={"connect": 0.1},
            retries={"attempts": 1},
        )
        engine = build_engine(config)
        answer = await engine.forward(ask("a", "b"))
        assert labels(answer.progress.fallbacks) == ("a:timeout_connect",)
        await engine.aclose()
        for filler in fillers:
            filler.close()
