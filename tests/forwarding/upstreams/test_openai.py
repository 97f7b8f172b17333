"""What an OpenAI upstream is sent: the client's fields, the arm's options, the router's key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from router_backend.forwarding.engine import Engine, build_engine
from router_backend.forwarding.failure import ForwardError
from tests.support.arms import model, router_config
from tests.support.asking import ask
from tests.support.scripted_upstream import Script, ScriptedUpstream

EngineFor = Callable[..., Engine]


async def test_every_field_of_the_client_is_forwarded(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    fields = {
        "temperature": 0.0,
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "parallel_tool_calls": False,
        "response_format": {"type": "json_object"},
        "logprobs": True,
        "n": 2,
        "seed": 7,
        "stop": ["a", "b"],
        "user": "u",
        "x_vendor": {"deep": [None, 1.5]},
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        ],
    }
    await engine_for(upstream).forward(ask("a", **fields))
    assert upstream.requests[0] == {**fields, "model": "upstream-model"}


async def test_usage_is_always_asked_for_and_other_stream_options_stay(
    engine_for: EngineFor, upstream: ScriptedUpstream
) -> None:
    request = ask("a", stream=True, stream_options={"include_obfuscation": False})
    await (await engine_for(upstream).forward(request)).aclose()
    assert upstream.requests[0]["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert request.body["stream_options"] == {"include_obfuscation": False}


async def test_defaults_fill_in_and_the_client_wins(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    defaults = {
        "temperature": 0.5,
        "max_tokens": 100,
        "stream": True,
        "chat_template_kwargs": {"thinking": True, "effort": "low"},
    }
    engine = engine_for(upstream, arm={"defaults": defaults})
    await engine.forward(ask("a", max_completion_tokens=5, chat_template_kwargs={"thinking": False}))
    sent = upstream.requests[0]
    assert sent["temperature"] == 0.5
    assert sent["chat_template_kwargs"] == {"thinking": False, "effort": "low"}
    assert sent["max_completion_tokens"] == 5
    assert "max_tokens" not in sent
    assert "stream" not in sent


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_tokens": 5000}, {"max_tokens": 64}),
        ({"max_tokens": 10}, {"max_tokens": 10}),
        ({"max_tokens": None}, {"max_tokens": 64}),
        ({"max_completion_tokens": 5000}, {"max_completion_tokens": 64}),
        ({}, {"max_tokens": 64}),
    ],
)
async def test_caps_per_task_hold_for_routed_requests_only(
    engine_for: EngineFor, upstream: ScriptedUpstream, fields: dict[str, int], expected: dict[str, int]
) -> None:
    engine = engine_for(upstream, arm={"max_tokens_by_task": {"math": 64}})
    await engine.forward(ask("a", task="math", **fields))
    await engine.forward(ask("a", task="math", named=True, **fields))
    await engine.forward(ask("a", task="chatbot", **fields))
    limits = [{name: sent[name] for name in sent if name.startswith("max_")} for sent in upstream.requests]
    assert limits == [expected, fields, fields]


@pytest.mark.parametrize(("asked", "sent"), [(None, 16), (0, 0), (8, 8), (100, 64), (-1, 64)])
async def test_a_cap_raises_no_limit_of_text_completions(
    engine_for: EngineFor, upstream: ScriptedUpstream, asked: int | None, sent: int
) -> None:
    """Their default is 16 tokens, and 0 is a limit: with `echo` it scores a text."""
    engine = engine_for(upstream, arm={"max_tokens_by_task": {"math": 64}})
    fields = {} if asked is None else {"max_tokens": asked}
    await engine.forward(ask("a", task="math", endpoint="completions", prompt="x", **fields))
    assert upstream.requests[0]["max_tokens"] == sent


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ([], [{"role": "system", "content": "detailed thinking on"}]),
        (
            [{"role": "developer", "content": "Be brief."}],
            [{"role": "developer", "content": "detailed thinking on\n\nBe brief."}],
        ),
        (
            [{"role": "system", "content": [{"type": "text", "text": "Be brief."}]}],
            [
                {
                    "role": "system",
                    "content": [
                        {"type": "text", "text": "detailed thinking on\n\n"},
                        {"type": "text", "text": "Be brief."},
                    ],
                }
            ],
        ),
    ],
)
async def test_an_arms_system_prompt_leads_the_conversation(
    engine_for: EngineFor, upstream: ScriptedUpstream, first: list[Any], expected: list[Any]
) -> None:
    engine = engine_for(upstream, arm={"system_prompt": "detailed thinking on"})
    question = {"role": "user", "content": "Hi"}
    request = ask("a", messages=[*first, question])
    await engine.forward(request)
    assert upstream.requests[0]["messages"] == [*expected, question]
    assert request.body["messages"] == [*first, question]


async def test_a_body_that_json_cannot_hold_is_the_clients_mistake(
    engine_for: EngineFor, upstream: ScriptedUpstream
) -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ForwardError) as error:
        await engine_for(upstream).forward(ask("a", deep=deep))
    assert error.value.error.status == 400
    await engine_for(upstream).forward(ask("a", messages=[{"role": "user", "content": "\ud83d"}], seed=2**70))
    assert upstream.requests[0]["messages"][0]["content"] == "\ud83d"


@pytest.mark.parametrize("wait", ["inf", "nan", "soon", "1e99", "-3", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_an_odd_retry_after_is_taken_as_well_as_it_can_be(
    engine_for: EngineFor, upstream: ScriptedUpstream, wait: str
) -> None:
    upstream.script(Script(status=429, headers={"retry-after": wait}))
    with pytest.raises(ForwardError) as error:
        await engine_for(upstream).forward(ask("a"))
    assert error.value.error.status == 429
    assert error.value.error.retry_after is None or 0 <= error.value.error.retry_after <= 86400


async def test_key_headers_and_request_id(
    upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TEST_UPSTREAM_KEY", "from-env")
    key = tmp_path / "key"
    key.write_text("from-file\n")
    arms = [model(name, upstream.base_url) for name in "ab"]
    arms[0]["upstream"] |= {"api_key_env": "TEST_UPSTREAM_KEY", "headers": {"X-Team": "blue"}}
    arms[1]["upstream"] |= {"api_key_file": str(key)}
    engine = build_engine(router_config(arms))
    await engine.forward(ask("a"))
    await engine.forward(ask("b"))
    key.unlink()
    await engine.forward(ask("b"))
    key.write_text("rotated")
    await engine.forward(ask("b"))
    sent = [headers["Authorization"] for headers in upstream.request_headers]
    assert sent == ["Bearer from-env", "Bearer from-file", "Bearer from-file", "Bearer rotated"]
    assert upstream.request_headers[0]["X-Team"] == "blue"
    assert upstream.request_headers[0]["X-Request-Id"] == "req-1"
    await engine.aclose()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("api_key_env", "NO_SUCH_VARIABLE_HERE", "NO_SUCH_VARIABLE_HERE"),
        ("api_key_file", "/no/such/file", "/no/such/file"),
    ],
)
def test_a_missing_key_is_told_at_the_start(field: str, value: str, message: str) -> None:
    arm = model("a", "http://localhost/v1")
    arm["upstream"] |= {field: value}
    with pytest.raises(ValueError, match=message):
        build_engine(router_config([arm]))


async def test_a_body_of_one_megabyte(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    text = "日本語" * 120_000
    upstream.script(Script(text=[text]))
    answer = await engine_for(upstream).forward(ask("a", messages=[{"role": "user", "content": text}]))
    assert upstream.requests[0]["messages"][0]["content"] == text
    assert text.encode() in answer.body or b"\\u65e5" in answer.body


async def test_redirects_are_not_followed(engine_for: EngineFor, upstream: ScriptedUpstream) -> None:
    upstream.script(Script(status=307, headers={"location": "http://127.0.0.1:1/"}))
    with pytest.raises(ForwardError, match=r"check upstream\.base_url") as error:
        await engine_for(upstream).forward(ask("a"))
    assert error.value.error.status == 502
