"""By which of Triton's models the gateway is answered: `router` alone, all steps by `decide`, or an older Triton's `route`."""

from __future__ import annotations

import grpc
import pytest

from router_backend.core.decision import RoutedDecision
from tests.gateway.conftest import EACH_WIRE, Serve, until_ready
from tests.support.scripted_triton import Refusal, ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream


@pytest.mark.parametrize(
    ("served", "answers"),
    [(("router", "decide", "route"), "router"), (("decide", "route"), "decide"), (("route",), "route")],
)
async def test_a_triton_without_the_gateway_s_models_decides_by_route(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, served: tuple[str, ...], answers: str
) -> None:
    triton.served = (*served, "feedback")
    gateway = await serve(upstream, triton=triton)
    await until_ready(gateway)
    response = await gateway.chat()
    assert response.headers["x-router-reason"] == "policy:linucb"
    assert {name for name in triton.answered if name != "feedback"} == {answers}


def steps(triton: ScriptedTriton) -> list[str]:
    """Models that were asked for decisions, in order."""
    return [name for name in triton.answered if name != "feedback"]


@EACH_WIRE
async def test_the_router_alone_decides_about_any_prompt(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, second, triton=triton)
    for text in ("Which way?", "Which way?", "Which \N{ROCKET} road?"):
        assert (await gateway.chat(text, headers={"x-router-session": "s"})).headers[
            "x-router-reason"
        ] == "policy:linucb"
    assert steps(triton) == ["router"] * 3
    first, second_, last = triton.asked
    assert first["session_id"] == second_["session_id"]
    assert (last["previous_model"], last["candidates"]) == ("a", ["a", "b"])
    assert last["request"]["messages"] == [{"role": "user", "content": "Which \N{ROCKET} road?"}]


async def test_a_router_that_begins_to_classify_is_noticed(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router_backend.gateway.triton_client._AGAIN_SECONDS", 0.0)
    triton.classifies = False
    gateway = await serve(upstream, triton=triton)
    await gateway.chat("Which way?")
    triton.classifies = True
    await gateway.chat("Which road?")
    assert steps(triton) == ["router", "decide", "router"]


@EACH_WIRE
async def test_a_prompt_that_was_classified_lately_is_decided_about_in_one_step(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    triton.classifies = False
    gateway = await serve(upstream, second, triton=triton)
    first = await gateway.chat("Which way?", headers={"x-router-session": "s"})
    triton.models = ["b", "a"]
    again = await gateway.chat("Which way?", headers={"x-router-session": "s"}, max_tokens=3)
    other = await gateway.chat("Which road?")
    assert steps(triton) == ["router", "decide", "router", "decide"]
    assert [answer.json()["model"] for answer in (first, again, other)] == ["a", "b", "b"]  # decided about each time
    one, two = triton.asked[:2]
    assert two["request"]["max_tokens"] == 3
    names = ("candidates", "session_id", "previous_model")
    assert {name: two.get(name) for name in names} == {
        "candidates": ["a", "b"],
        "session_id": one["session_id"],
        "previous_model": "a",
    }
    assert two["configuration"] == one["configuration"]


async def test_the_last_turn_is_what_is_classified_whatever_was_said_before(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    triton.classifies = False
    gateway = await serve(upstream, triton=triton)
    turn = {"role": "user", "content": "List the files of this folder."}
    call = {"id": "c", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
    rounds = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "a.txt"},
    ]
    for messages in ([turn], [turn, *rounds]):
        body = {"model": "auto", "messages": messages}
        assert (await gateway.http.post("/v1/chat/completions", json=body)).status_code == 200
    assert steps(triton) == ["router", "decide", "router", "decide"]  # this scripted router knows whole requests alone


async def test_a_router_that_has_forgotten_a_prompt_has_it_classified_again(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    triton.classifies, triton.forgets = False, True
    gateway = await serve(upstream, triton=triton)
    reasons = [(await gateway.chat()).headers["x-router-reason"] for _ in range(2)]
    assert reasons == ["policy:linucb"] * 2
    assert steps(triton) == ["router", "decide", "router", "decide"]


@EACH_WIRE
@pytest.mark.parametrize(
    "code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INTERNAL]
)
async def test_a_triton_that_knows_no_questions_decides_in_all_steps(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, code: grpc.StatusCode
) -> None:
    """What an older one says: "unexpected inference input 'question' for model 'router'"."""
    triton.classifies, triton.refuse_questions = False, Refusal(code, "unexpected inference input 'question'")
    gateway = await serve(upstream, triton=triton)
    reasons = [(await gateway.chat()).headers["x-router-reason"] for _ in range(2)]
    assert reasons == ["policy:linucb"] * 2
    assert steps(triton) == ["decide", "decide"]


async def test_what_no_model_can_take_is_refused_as_well_when_it_is_asked_again(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    triton.classifies = False
    gateway = await serve(upstream, triton=triton)
    assert (await gateway.chat()).status_code == 200
    triton.refuse_questions = Refusal(grpc.StatusCode.INTERNAL, "INVALID_ARGUMENT: policy 'x' isn't configured")
    refused = await gateway.chat()
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unroutable")
    assert steps(triton) == ["router", "decide"]


async def test_a_fallback_is_not_remembered_as_a_classification(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    triton.classifies = False
    triton.decide = lambda inputs: RoutedDecision(
        decision_id="d", model="a", reason="fallback:tokenizer", ranking=["a"]
    )
    gateway = await serve(upstream, triton=triton)
    for _ in range(2):
        await gateway.chat()
    assert steps(triton) == ["router", "decide", "decide"]
