"""Retries and fallback: before the first content, within their budgets, never for named models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from router_backend.core import errors
from router_backend.core.errors import Cause
from router_backend.forwarding.engine import Engine, build_engine
from router_backend.forwarding.failure import ForwardError
from router_backend.forwarding.observer import Observer
from tests.support.arms import model, router_config
from tests.support.asking import answer_text, ask, labels, payloads, text_of
from tests.support.scripted_upstream import Script, ScriptedUpstream

EngineFor = Callable[..., Engine]
FAST = {"backoff": 0.001, "max_backoff": 0.05}


class Recorded(Observer):
    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def attempt(self, arm: str) -> None:
        self.seen.append(("attempt", arm))

    def retry(self, arm: str, cause: Cause) -> None:
        self.seen.append(("retry", arm, cause.label))

    def fallback(self, arm: str, cause: Cause) -> None:
        self.seen.append(("fallback", arm, cause.label))

    def breaker(self, arm: str, state: str) -> None:
        self.seen.append(("breaker", arm, state))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_is_retried_on_the_same_arm(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, stream: bool
) -> None:
    observer = Recorded()
    upstream.script(Script(status=500), Script())
    answer = await engine_for(upstream, second, observer=observer).forward(ask("a", "b", stream=stream))
    assert await answer_text(answer) == "Hello, world"
    assert answer.progress.arm == "a"
    assert answer.progress.attempts == 2
    assert second.requests == []
    assert observer.seen == [("attempt", "a"), ("retry", "a", "http_500"), ("attempt", "a")]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_next_arm_answers_when_the_first_keeps_failing(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, stream: bool
) -> None:
    upstream.script(Script(status=503))
    answer = await engine_for(upstream, second).forward(ask("a", "b", stream=stream))
    if stream:
        assert text_of(await payloads(answer)) == "Hello, world"
    else:
        assert orjson.loads(answer.body)["model"] == "b"
    assert answer.progress.arm == "b"
    assert labels(answer.progress.fallbacks) == ("a:http_503",)
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "first",
    [
        Script(cut_after=0),
        Script(cut_after=1),  # after the role, before any content
        Script(frames=[b"data: garbage\n\n"]),
        Script(frames=[b'data: {"error":{"message":"boom"}}\n\n']),
        Script(drop=True),
    ],
    ids=["no byte", "role only", "garbage", "error", "dropped"],
)
async def test_a_stream_that_breaks_before_its_first_content_falls_back(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, first: Script
) -> None:
    upstream.script(first)
    answer = await engine_for(upstream, second).forward(ask("a", "b", stream=True))
    assert text_of(await payloads(answer)) == "Hello, world"
    assert answer.progress.arm == "b"


async def test_nothing_is_retried_after_the_first_content(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(cut_after=2, delay=0.01))
    chunks = await payloads(await engine_for(upstream, second).forward(ask("a", "b", stream=True)))
    assert text_of(chunks) == "Hello"
    assert "error" in chunks[-1]
    assert len(upstream.requests) == 1
    assert second.requests == []


async def test_a_named_model_never_falls_back(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(status=500))
    with pytest.raises(ForwardError) as error:
        await engine_for(upstream, second).forward(ask("a", "b", named=True))
    assert error.value.error.status == 502
    assert second.requests == []


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (500, "image input is not supported - hint: you may need to provide the mmproj"),  # llama.cpp
        (501, "This server does not support embeddings. Start it with `--embeddings`"),  # llama.cpp
        (501, "HTTP 501"),
    ],
)
async def test_what_a_server_can_not_do_is_no_failure_of_the_server(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, status: int, message: str
) -> None:
    """Else a client that sends images to a model without eyes would open its breaker for everybody."""
    upstream.script(Script(status=status, error={"message": message, "code": status, "type": "server_error"}))
    engine = engine_for(upstream, second, breaker={"failures": 1})
    for _ in range(3):
        with pytest.raises(ForwardError) as error:
            await engine.forward(ask("a", named=True))
        assert (error.value.error.status, error.value.error.type, error.value.error.code) == (
            400,
            "invalid_request_error",
            "unsupported",
        )
    assert engine.health() == {"a": "closed", "b": "closed"}
    assert len(upstream.requests) == 3  # none was tried again
    answer = await engine.forward(ask("a", "b"))
    assert labels(answer.progress.fallbacks) == ("a:unsupported",)


async def test_a_status_in_place_of_a_code_is_no_code(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(status=400, error={"message": "no such field", "code": 400, "type": "BadRequestError"}))
    with pytest.raises(ForwardError) as error:
        await engine_for(upstream).forward(ask("a"))
    assert error.value.error.code == "invalid_request"


async def test_429_stays_429_through_fallback_with_the_longest_wait(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(status=429, headers={"retry-after": "17"}))
    second.script(Script(status=429, headers={"retry-after": "5"}))
    with pytest.raises(ForwardError) as error:
        await engine_for(upstream, second).forward(ask("a", "b"))
    assert (error.value.error.status, error.value.error.retry_after) == (429, 17.0)
    assert labels(error.value.fallbacks) == ("a:rate_limited", "b:rate_limited")
    assert len(upstream.requests) == 1  # it asked for more patience than a retry has
    second.script(Script(status=500))
    with pytest.raises(ForwardError) as error:
        await engine_for(upstream, second).forward(ask("a", "b"))
    assert (error.value.error.status, error.value.error.retry_after) == (429, 17.0)


@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_the_clients_mistake_is_neither_retried_nor_fallen_back(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream, status: int
) -> None:
    fault = {"message": "temperature is too high", "type": "BadRequestError", "param": "temperature", "code": "range"}
    upstream.script(Script(status=status, error=fault))
    engine = engine_for(upstream, second)
    with pytest.raises(ForwardError) as error:
        await engine.forward(ask("a", "b"))
    got = error.value.error
    assert (got.status, got.message, got.param, got.code) == (status, "temperature is too high", "temperature", "range")
    assert (len(upstream.requests), len(second.requests)) == (1, 0)


async def test_a_prompt_too_long_goes_to_a_larger_window_only(
    upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(
        Script(status=400, error={"message": "This model's maximum context length is 100 tokens", "code": 400})
    )
    async with ScriptedUpstream() as third:
        config = router_config(
            [
                model("a", upstream.base_url, context_window=100),
                model("b", second.base_url, context_window=100),
                model("c", third.base_url, context_window=200),
            ]
        )
        engine = build_engine(config)
        answer = await engine.forward(ask("a", "b", "c"))
        assert answer.progress.arm == "c"
        assert second.requests == []
        with pytest.raises(ForwardError) as error:
            await engine.forward(ask("a", "b"))
        assert (error.value.error.status, error.value.error.code) == (400, "context_length_exceeded")
        await engine.aclose()


async def test_the_routers_own_key_refused_is_not_the_clients_401(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(status=401))
    engine = engine_for(upstream, second)
    assert (await engine.forward(ask("a", "b"))).progress.arm == "b"
    with pytest.raises(ForwardError) as error:
        await engine.forward(ask("a", named=True))
    assert (error.value.error.status, error.value.error.code) == (502, "upstream_auth")


async def test_fallbacks_are_limited_and_need_no_retry_budget(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(status=500))
    engine = engine_for(upstream, second, retries={"budget": 0, "fallbacks": 1})
    for _ in range(20):
        assert (await engine.forward(ask("a", "b"))).progress.arm == "b"
    second.script(Script(status=500))
    engine = engine_for(upstream, upstream, second, retries={"fallbacks": 1, **FAST})
    with pytest.raises(ForwardError):
        await engine.forward(ask("a", "b", "c"))
    assert len(second.requests) == 20


async def test_retries_stop_when_the_budget_is_spent(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(status=500))
    retries = {"attempts": 3, "budget": 0.1, "budget_minimum": 2, **FAST}
    engine = engine_for(upstream, retries=retries, breaker={"failures": 1000})
    for _ in range(10):
        with pytest.raises(ForwardError):
            await engine.forward(ask("a"))
    assert len(upstream.requests) == 12


async def test_a_broken_arm_is_passed_over_and_comes_back(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    observer = Recorded()
    upstream.script(Script(status=500))
    breaker = {"failures": 2, "open_seconds": 0.05, "probes": 1}
    engine = engine_for(upstream, second, breaker=breaker, observer=observer)
    await engine.forward(ask("a", "b"))
    assert engine.health() == {"a": "open", "b": "closed"}
    answer = await engine.forward(ask("a", "b"))
    assert labels(answer.progress.fallbacks) == ("a:breaker_open",)
    assert len(upstream.requests) == 2
    with pytest.raises(ForwardError) as error:
        await engine.forward(ask("a", named=True))
    assert error.value.error.status == 503
    assert error.value.error.retry_after is not None
    upstream.script(Script())
    await asyncio.sleep(0.06)
    assert engine.health()["a"] == "half_open"
    assert (await engine.forward(ask("a", "b"))).progress.arm == "a"
    assert engine.health()["a"] == "closed"
    assert [seen[2] for seen in observer.seen if seen[0] == "breaker"] == ["open", "half_open", "closed"]


async def test_an_arm_that_rests_or_cannot_take_the_request_hides_no_other_failure(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    engine = engine_for(upstream, second, breaker={"failures": 2}, retries={"attempts": 1})
    upstream.script(Script(status=500))
    second.script(
        Script(status=400, error={"message": "maximum context length is 5", "code": "context_length_exceeded"})
    )
    statuses = []
    for _ in range(3):
        with pytest.raises(ForwardError) as error:
            await engine.forward(ask("a", "b"))
        statuses.append(error.value.error.status)
    assert statuses == [502, 502, 503]
    assert error.value.error.retry_after is not None


async def test_an_arm_that_was_passed_over_is_not_the_one_that_failed(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    engine = engine_for(upstream, second, breaker={"failures": 1}, retries={"attempts": 1})
    second.script(Script(status=500))
    with pytest.raises(ForwardError):
        await engine.forward(ask("b"))
    upstream.script(Script(status=503))
    with pytest.raises(ForwardError) as error:
        await engine.forward(ask("a", "b"))
    assert labels(error.value.fallbacks) == ("a:http_503", "b:breaker_open")
    assert error.value.error.message.startswith("a:")
    assert (error.value.arm, error.value.cause) == ("a", errors.http(503))


async def test_names_with_colons(upstream: ScriptedUpstream) -> None:
    upstream.script(Script(status=500))
    engine = build_engine(router_config([model("meta/llama:8b", upstream.base_url)]))
    with pytest.raises(ForwardError) as error:
        await engine.forward(ask("meta/llama:8b"))
    assert error.value.arm == "meta/llama:8b"
    await engine.aclose()


async def test_an_unreachable_arm_falls_back(engine_for: EngineFor, second: ScriptedUpstream) -> None:
    async with ScriptedUpstream() as gone:
        engine = engine_for(gone, second)
    answer = await engine.forward(ask("a", "b"))
    assert labels(answer.progress.fallbacks) == ("a:connect",)


async def test_a_full_queue_is_429_at_once_and_other_arms_go_on(
    engine_for: EngineFor, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.script(Script(latency=float("inf")))
    engine = engine_for(upstream, second, arm={"max_concurrency": 2, "max_queue": 3})
    hung = [asyncio.create_task(engine.forward(ask("a", named=True))) for _ in range(5)]
    await upstream.wait_running(2)
    with pytest.raises(ForwardError) as error:
        await engine.forward(ask("a", named=True))
    assert (error.value.error.status, error.value.error.type) == (429, "rate_limit_error")
    assert error.value.error.retry_after is not None
    assert labels((await engine.forward(ask("a", "b"))).progress.fallbacks) == ("a:queue_full",)
    assert (await engine.forward(ask("b", named=True))).progress.arm == "b"
    for task in hung:
        task.cancel()
    await asyncio.gather(*hung, return_exceptions=True)
    await upstream.wait_running(0)
    upstream.script(Script())
    assert (await engine.forward(ask("a"))).progress.arm == "a"


async def test_an_unknown_arm_and_no_arm_are_clear_errors(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    with pytest.raises(ForwardError, match="'x' does not exist; the models are a") as error:
        await engine_for(upstream).forward(ask("x"))
    assert error.value.error.status == 404
    with pytest.raises(ForwardError) as error:
        await engine_for(upstream).forward(ask())
    assert error.value.error.status == 503
