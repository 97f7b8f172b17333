"""`auto` asks Triton; whatever is wrong with Triton, a user gets an answer."""

from __future__ import annotations

import asyncio
import json
import math

import grpc
import pytest

from router_backend.core.decision import RoutedDecision
from tests.gateway.conftest import EACH_WIRE, Serve, until_ready
from tests.support.scripted_triton import Refusal, ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream


@EACH_WIRE
async def test_auto_follows_the_decision_and_says_so(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    triton.models = ["b", "a"]
    gateway = await serve(upstream, second, triton=triton)
    response = await gateway.chat()
    assert response.status_code == 200
    assert response.json()["model"] == "b"
    assert second.requests
    assert not upstream.requests
    headers = response.headers
    assert headers["x-router-model"] == "b"
    assert headers["x-router-task"] == "open_qa"
    assert headers["x-router-reason"] == "policy:linucb"
    assert headers["x-router-decision-id"] in triton.decisions
    assert headers["x-request-id"]


async def test_named_model_bypasses_routing(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, second, triton=triton)
    response = await gateway.chat(model="b")
    assert response.json()["model"] == "b"
    assert response.headers["x-router-reason"] == "named"
    assert not triton.asked


async def test_unknown_model_is_404_in_openai_shape(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    response = await gateway.chat(model="gpt-99")
    assert response.status_code == 404
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["code"], error["param"]) == ("model_not_found", "model")


async def test_without_triton_the_default_model_answers(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    response = await gateway.chat()
    assert response.status_code == 200
    assert response.headers["x-router-reason"] == "fallback:unavailable"


@EACH_WIRE
async def test_slow_routing_is_cut_at_the_deadline(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    triton.delay = 60
    gateway = await serve(upstream, triton=triton, routing={"deadline_ms": 50})
    response = await gateway.chat()
    assert response.status_code == 200
    assert response.headers["x-router-reason"] == "fallback:timeout"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"not json", "fallback:error"),
        (b"{}", "fallback:error"),
        (RoutedDecision(decision_id="x", model="gone", reason="policy:linucb"), "fallback:unknown_model"),
    ],
)
async def test_unusable_decisions_fall_back(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, answer: bytes | RoutedDecision, reason: str
) -> None:
    triton.decide = lambda _: answer
    gateway = await serve(upstream, triton=triton)
    response = await gateway.chat()
    assert response.status_code == 200
    assert response.headers["x-router-reason"] == reason


@EACH_WIRE
async def test_a_failing_triton_model_falls_back_and_routing_recovers(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton)
    triton.refuse = Refusal(grpc.StatusCode.INTERNAL, "classifier crashed")
    assert (await gateway.chat()).headers["x-router-reason"] == "fallback:error"
    triton.refuse = None
    assert (await gateway.chat()).headers["x-router-reason"] == "policy:linucb"


@EACH_WIRE
async def test_routing_recovers_when_triton_comes_back(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton)
    assert (await gateway.chat()).headers["x-router-reason"] == "policy:linucb"
    port = triton.port
    await triton.stop()
    assert (await gateway.chat()).headers["x-router-reason"].startswith("fallback:")
    await triton.start(port)
    async with asyncio.timeout(10):
        while (await gateway.chat()).headers["x-router-reason"] != "policy:linucb":
            pass


async def test_a_fallback_keeps_to_the_models_that_the_client_allows(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    gateway = await serve(upstream, second)
    response = await gateway.chat(headers={"x-router-models": "b"})
    assert response.headers["x-router-model"] == "b"


@EACH_WIRE
async def test_router_hears_health_session_limits_and_previous_model(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, second, triton=triton, breaker={"failures": 1, "open_seconds": 60})
    hints = {
        "x-router-session": "s1",
        "x-router-policy": "ucb1",
        "x-router-max-cost": "0.25",
        "x-router-min-quality": "0.5",
    }
    first = await gateway.chat(headers=hints)
    assert "x-router-switched" not in first.headers
    asked = triton.asked[0]
    assert asked["candidates"] == ["a", "b"]
    assert (asked["session_id"], asked["policy"]) == ("s1", "ucb1")
    assert (asked["max_cost"], asked["min_quality"]) == (0.25, 0.5)
    assert "previous_model" not in asked
    upstream.script(Script(status=503))
    await gateway.chat(model="a")  # opens the breaker of `a`
    switched = await gateway.chat(headers=hints)
    assert triton.asked[1]["candidates"] == ["b"]
    assert triton.asked[1]["previous_model"] == "a"
    assert switched.headers["x-router-switched"] == "true"
    assert switched.headers["x-router-model"] == "b"


async def test_openai_user_field_is_the_session_unless_one_is_given(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton)
    await gateway.chat(user="u1")
    await gateway.chat(user="u1", metadata={"router_session": "s2"})
    assert [asked["session_id"] for asked in triton.asked] == ["u1", "s2"]


async def test_our_hints_are_not_forwarded_and_other_metadata_is(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton)
    await gateway.chat(metadata={"router_session": "s", "trace": "kept"})
    await gateway.chat(metadata={"router_models": "a"})
    assert upstream.requests[0]["metadata"] == {"trace": "kept"}
    assert "metadata" not in upstream.requests[1]


@pytest.mark.parametrize(
    "headers",
    [
        {"x-router-max-cost": "much"},
        {"x-router-max-cost": "nan"},
        {"x-router-min-quality": "2"},
        {"x-router-models": "a,unknown"},
        {"x-router-session": "s" * 600},
    ],
)
async def test_hints_without_a_meaning_are_refused(
    serve: Serve, upstream: ScriptedUpstream, headers: dict[str, str]
) -> None:
    gateway = await serve(upstream)
    response = await gateway.chat(headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["param"] in headers


@EACH_WIRE
async def test_what_no_model_could_take_is_refused(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton)
    triton.refuse = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "in ensemble: INVALID_ARGUMENT: policy 'x' isn't known")
    response = await gateway.chat(headers={"x-router-policy": "x"})
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "policy 'x' isn't known"


@pytest.mark.parametrize(
    ("prompt", "read"), [("Once", "Once"), (["Once"], "Once"), (["a", "a longer one", "b"], "a longer one")]
)
@pytest.mark.parametrize("stream", [False, True])
async def test_text_completions_are_routed_like_chats(
    serve: Serve,
    upstream: ScriptedUpstream,
    second: ScriptedUpstream,
    triton: ScriptedTriton,
    prompt: str | list[str],
    read: str,
    stream: bool,
) -> None:
    triton.models = ["b", "a"]
    gateway = await serve(upstream, second, triton=triton)
    body = {"model": "auto", "prompt": prompt, "max_tokens": 3, "stream": stream, "user": "u1"}
    response = await gateway.http.post("/v1/completions", json=body)
    assert response.status_code == 200
    assert second.requests[0]["prompt"] == prompt
    assert not upstream.requests
    asked = triton.asked[0]
    assert asked["request"]["messages"] == [{"role": "user", "content": read}]
    assert asked["request"]["max_tokens"] == 3
    assert asked["session_id"] == "u1"
    headers = response.headers
    assert (headers["x-router-model"], headers["x-router-task"]) == ("b", "open_qa")
    assert headers["x-router-reason"] == "policy:linucb"
    await gateway.app.outcomes.settled(headers["x-router-decision-id"], 30)
    assert triton.outcomes[headers["x-router-decision-id"]]["served"] == "b"
    await gateway.chat(model="a", user="u1")
    again = await gateway.http.post("/v1/completions", json=body)
    assert again.headers["x-router-switched"] == "true"


@pytest.mark.parametrize("prompt", [[1, 2, 3], [[1, 2], [3]], ["text", 4], []])
async def test_text_completions_without_text_take_the_default_model(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, prompt: list[object]
) -> None:
    gateway = await serve(upstream, triton=triton)
    response = await gateway.http.post("/v1/completions", json={"model": "auto", "prompt": prompt})
    assert response.status_code == 200
    assert response.headers["x-router-model"] == "a"
    assert response.headers["x-router-reason"] == "passthrough:token_ids"
    assert not triton.asked


async def test_text_completions_do_not_need_triton(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    response = await gateway.http.post("/v1/completions", json={"model": "auto", "prompt": "Once"})
    assert response.status_code == 200
    assert response.headers["x-router-reason"] == "fallback:unavailable"


@EACH_WIRE
async def test_a_router_with_another_configuration_refuses_nothing(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    triton.refuse = Refusal(
        grpc.StatusCode.UNAVAILABLE, "in ensemble: OTHER_CONFIGURATION: none of ['b'] is configured"
    )
    gateway = await serve(upstream, second, triton=triton)
    response = await gateway.chat(headers={"x-router-models": "b"})
    assert response.status_code == 200
    assert (response.headers["x-router-model"], response.headers["x-router-reason"]) == ("b", "fallback:configuration")


async def test_a_fallback_prefers_models_that_can_take_the_request(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    gateway = await serve(upstream, second, arms={"b": {"capabilities": ["tools"]}})
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    assert (await gateway.chat(tools=tools)).headers["x-router-model"] == "b"
    assert (await gateway.chat()).headers["x-router-model"] == "a"


async def test_inlined_images_do_not_go_through_the_classifier(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton, arm={"capabilities": ["vision"]})
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}
    body = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}]
    response = await gateway.http.post("/v1/chat/completions", json={"model": "auto", "messages": body})
    assert response.status_code == 200
    assert triton.asked[0]["request"]["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url"},
    ]
    assert upstream.requests[0]["messages"] == body


async def test_decision_only_endpoint_forwards_nothing(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton)
    response = await gateway.http.post("/v1/route", json={"messages": [{"role": "user", "content": "hi"}]})
    decision = response.json()
    assert (decision["model"], decision["answer"]) == ("a", None)
    assert not upstream.requests
    again = await gateway.http.get(f"/v1/decisions/{decision['decision_id']}")
    assert again.json() == decision


async def test_decision_detail_gains_the_answer(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, second, triton=triton)
    response = await gateway.chat()
    detail = (await gateway.http.get(f"/v1/decisions/{response.headers['x-router-decision-id']}")).json()
    assert detail["means"] == {"a": 0.4, "b": 0.4}
    answer = detail["answer"]
    assert answer["served"] == "a"
    assert answer["cost"] == pytest.approx((7 * 1 + 3 * 2) / 1e6)
    assert answer["savings"] == pytest.approx(9 * answer["cost"])


async def test_decision_detail_of_an_answer_with_half_a_character(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    upstream.script(Script(finish="\ud83d"))
    gateway = await serve(upstream, triton=triton)
    response = await gateway.chat(model="a")
    detail = await gateway.http.get(f"/v1/decisions/{response.headers['x-router-decision-id']}")
    # Half a character is no finish reason: neither the client nor the records get it.
    assert response.json()["choices"][0]["finish_reason"] == "stop"
    assert (detail.status_code, detail.json()["answer"]["finish_reason"]) == (200, "stop")


@EACH_WIRE
async def test_a_triton_that_does_not_decide_is_not_ready(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton)
    await until_ready(gateway)
    assert triton.asked == []  # the question is no request
    triton.delay = 3600.0  # loaded, and frozen
    answer = await gateway.http.get("/health/ready")
    assert (answer.status_code, answer.json()["route"]) == (503, False)


async def test_what_was_measured_of_the_models_goes_with_the_question(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, second, triton=triton, latency={"slo_ttft_ms": 60_000})
    for stream in (False, True):
        await gateway.chat(stream=stream)
    await gateway.chat()
    assert json.loads(triton.asked[0]["paces"]) == {}
    for asked in triton.asked[1:]:
        measured = json.loads(asked["paces"])
        assert measured.keys() == {"a"}
        first, token = measured["a"]
        assert 0 < first < 60
        assert 0 <= token < 60


async def test_nothing_is_sent_where_time_does_not_count(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton)
    for _ in range(2):
        await gateway.chat()
    assert all("paces" not in asked for asked in triton.asked)


async def test_how_busy_own_machines_are_goes_with_the_question(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    own = {"price": {"gpu_hour_usd": 2, "tokens_per_second": 100}, "max_concurrency": 2}
    gateway = await serve(upstream, second, triton=triton, arms={"b": own})
    second.script(Script(latency=math.inf))
    async with asyncio.timeout(60):
        waits = asyncio.create_task(gateway.chat(model="b"))
        while not second.requests:
            await asyncio.sleep(0.01)
        await gateway.chat()
        waits.cancel()
    assert json.loads(triton.asked[-1]["loads"]) == {"b": 0.5}


async def test_a_model_that_gives_no_first_token_is_measured_as_late(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    upstream.script(Script(latency=math.inf))
    gateway = await serve(
        upstream,
        second,
        triton=triton,
        latency={"slo_ttft_ms": 100},
        timeouts={"first_token": 0.3},
        retries={"attempts": 1},
    )
    for _ in range(2):
        assert (await gateway.chat()).json()["model"] == "b"
    measured = json.loads(triton.asked[1]["paces"])
    assert measured["a"][0] > 0.1
