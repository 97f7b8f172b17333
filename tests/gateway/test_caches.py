"""What is learned of prompt caches from the usage of answers, and what the router hears of it."""

from __future__ import annotations

import json

import pytest

from router_backend.core.records import Outcome, Usage
from router_backend.gateway.caches import Caches
from router_backend.gateway.conversations import Conversation, Warm
from router_backend.gateway.memory import NOBODY
from tests.gateway.conftest import EACH_WIRE, Serve
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream


class Trials:
    """Answers to prompts that a model has read before."""

    def __init__(self) -> None:
        self.caches = Caches()

    def see(self, n: int, tokens: int, age: float, cached: int) -> None:
        for _ in range(n):
            conversation = Conversation((), NOBODY, NOBODY, "m", False, tokens, {"m": Warm(tokens, 0.0)}, None)
            usage = Usage(prompt=2 * tokens, cached=cached)
            outcome = Outcome(
                decision_id="d", completed=0.0, served="m", status=200, usage=usage, usage_known=True, first_token=None
            )
            self.caches.learn(conversation, age, outcome)

    def share(self, tokens: int, age: float) -> float:
        return self.caches.expected("m", tokens, age) / tokens


@pytest.fixture
def trials() -> Trials:
    return Trials()


def test_before_an_answer_it_is_what_providers_say(trials: Trials) -> None:
    assert trials.share(8000, 10) == 1.0
    assert trials.share(8000, 1000) < 0.5
    assert trials.share(8000, 100_000) < 0.05
    assert trials.share(200, 10) < 0.5


def test_a_model_without_a_cache(trials: Trials) -> None:
    trials.see(20, 8000, 10, 0)
    assert trials.share(8000, 10) < 0.15
    assert trials.share(60_000, 10) < 0.3  # not tried


def test_from_which_length_on(trials: Trials) -> None:
    for _ in range(20):
        trials.see(1, 1500, 10, 0)
        trials.see(1, 5000, 10, 4992)
    assert trials.share(1500, 10) < 0.15
    assert trials.share(5000, 10) > 0.85
    trials.see(20, 100, 10, 96)  # and another server caches short ones, too
    assert trials.share(100, 10) > 0.8


def test_for_how_long(trials: Trials) -> None:
    for _ in range(20):
        trials.see(1, 5000, 10, 5000)
        trials.see(1, 5000, 130, 0)
        trials.see(1, 5000, 3000, 5000)  # as of another model
    assert trials.share(5000, 10) > 0.9
    assert trials.share(5000, 130) < 0.15
    assert trials.share(5000, 3000) > 0.8


def test_a_cache_that_is_switched_on_is_noticed(trials: Trials) -> None:
    trials.see(1000, 5000, 10, 0)
    trials.see(300, 5000, 10, 5000)
    assert trials.share(5000, 10) > 0.6


def test_a_long_fresh_prompt_waits(trials: Trials) -> None:
    caches, paces = trials.caches, {"m": (1.0, 0.01)}
    assert caches.waits(paces, 50_000, {}) == paces
    for fresh in (1000, 9000) * 30:
        conversation = Conversation((), NOBODY, NOBODY, "", True, 0, {}, None)
        outcome = Outcome(
            decision_id="d",
            completed=0.0,
            served="m",
            status=200,
            usage=Usage(prompt=fresh),
            usage_known=True,
            first_token=0.5 + fresh / 10_000,
        )
        caches.learn(conversation, 0.0, outcome)
    fresh, warm = (caches.waits(paces, 50_000, known)["m"] for known in ({}, {"m": 49_000.0}))
    assert fresh[0] == pytest.approx(1.0 + 4.5, rel=0.02)
    assert warm[0] == pytest.approx(1.0 - 0.4, rel=0.02)
    assert fresh[1] == 0.01


@EACH_WIRE
async def test_the_router_hears_what_caches_hold(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    usage = {"prompt_tokens": 4000, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 0}}
    upstream.script(Script(usage=usage))
    price = {"input": 1, "output": 2, "cached_input": 0.1}
    gateway = await serve(upstream, second, triton=triton, arms={"a": {"price": price}})
    history = [{"role": "user", "content": "Fix the build " * 400}]
    for _ in range(3):
        await gateway.chat(messages=history)
        history = [*history, {"role": "assistant", "content": "?"}, {"role": "user", "content": "Yes"}]
    first, then, later = triton.asked
    assert "warm_tokens" not in first
    warm = [json.loads(asked["warm_tokens"]) for asked in (then, later)]
    assert warm[0] == {"a": 4000}
    assert 0 < warm[1]["a"] < 4000  # it missed
    assert 4000 < int(then["prompt_tokens"]) < 5000


async def test_the_router_hears_what_caches_take(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    details = {"cached_tokens": 1000, "cache_write_tokens": 1500}
    upstream.script(Script(usage={"prompt_tokens": 4000, "completion_tokens": 3, "prompt_tokens_details": details}))
    gateway = await serve(upstream, triton=triton, arm={"price": {"input": 1, "output": 2, "cache_write": 1.25}})
    for _ in range(2):
        await gateway.chat(messages=[{"role": "user", "content": "Fix the build " * 400}])
    first, then = triton.asked
    assert "cache_writes" not in first
    assert json.loads(then["cache_writes"]) == {"a": 0.5}


async def test_without_a_price_for_cached_tokens_nothing_is_said_of_them(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton)
    history = [{"role": "user", "content": "Fix the build " * 400}]
    for _ in range(2):
        await gateway.chat(messages=history)
        history = [*history, {"role": "assistant", "content": "?"}, {"role": "user", "content": "Yes"}]
    assert not any("warm_tokens" in asked for asked in triton.asked)


MARK = {"cache_control": {"type": "ephemeral"}}


async def test_what_a_client_says_of_caching_is_passed_on_untouched(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton, arm={"capabilities": ["tools"]})
    parts = [{"type": "text", "text": "b"}, {"type": "text", "text": "a", **MARK}, {"type": "text", "text": "c"}]
    tools = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("z", "a", "m")]
    messages = [{"role": "system", "content": parts}, {"role": "user", "content": parts}]
    await gateway.chat(messages=messages, tools=tools, prompt_cache_key="key-1", prompt_cache_retention="24h")
    (sent,) = upstream.requests
    assert json.dumps([sent["messages"], sent["tools"]]) == json.dumps([messages, tools])
    assert (sent["prompt_cache_key"], sent["prompt_cache_retention"]) == ("key-1", "24h")


async def test_native_requests_keep_their_marks_and_the_order_of_blocks(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    apis = {"kind": "openai", "base_url": upstream.base_url, "apis": ["chat", "responses", "messages"]}
    gateway = await serve(upstream, triton=triton, arm={"capabilities": ["tools"], "upstream": apis})
    block = {"type": "text", "text": "a", **MARK}
    asked = {
        "model": "auto",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "b"}, block],
        "tools": [{"name": name, "input_schema": {"type": "object"}, **MARK} for name in ("z", "a")],
        "messages": [{"role": "user", "content": [block, {"type": "text", "text": "c"}]}],
    }
    await gateway.http.post("/v1/messages", json=asked)
    sent = upstream.requests[-1]
    assert json.dumps([sent[name] for name in ("system", "tools", "messages")]) == json.dumps(
        [asked[name] for name in ("system", "tools", "messages")]
    )
    body = {"model": "auto", "input": "Hi", "prompt_cache_key": "key-1"}
    await gateway.http.post("/v1/responses", json=body)
    assert upstream.requests[-1]["prompt_cache_key"] == "key-1"
