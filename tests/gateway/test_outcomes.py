"""Feedback, reports to Triton, readiness, metrics: what is known afterwards is true, through Triton's outages too."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from router_backend.gateway.app import create_app
from tests.gateway.conftest import Running, Serve, until_ready
from tests.gateway.keys.test_auth import key_config
from tests.gateway.test_requests import check_error
from tests.support.scripted_triton import Refusal, ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream


async def give(gateway: Running, decision_id: str, score: Any = 1, **fields: Any) -> httpx.Response:
    body = {"decision_id": decision_id, "score": score, **fields}
    return await gateway.http.post("/v1/feedback", json=body)


async def until_reported(gateway: Running) -> None:
    async with asyncio.timeout(10):
        while gateway.app.outcomes.depth:
            await asyncio.sleep(0.005)


async def test_feedback_answers_with_the_reward(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton)
    decision = (await gateway.chat()).headers["x-router-decision-id"]
    response = await give(gateway, decision, 0.5, cost_usd=20e-6, task="math", tags={"a": 1})
    assert response.json() == {
        "object": "feedback",
        "decision_id": decision,
        "accepted": True,
        "reward": 0.375,
        "score": 0.5,
        "duplicate": False,
    }
    assert triton.scores == [(decision, 0.5)]


async def test_a_cost_is_bounded_by_the_answer_and_the_prices(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton)
    decision = (await gateway.chat()).headers["x-router-decision-id"]  # 13e-6 USD
    for cost in (1e6, 0.25, 27e-6):
        assert check_error(await give(gateway, decision, cost_usd=cost), 400)["param"] == "cost_usd"
    triton.decisions["older"] = {}  # of which this gateway knows nothing any more
    assert check_error(await give(gateway, "older", cost_usd=1e6), 400)["param"] == "cost_usd"
    assert not triton.scores
    assert (await give(gateway, "older", cost_usd=1e-3)).status_code == 200
    assert (await give(gateway, decision, cost_usd=25e-6)).status_code == 200


async def test_a_configured_limit_of_costs_takes_the_place_of_the_prices(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton, gateway={"feedback_cost_usd": 0.5})
    decision = (await gateway.chat()).headers["x-router-decision-id"]  # 13e-6 USD
    assert check_error(await give(gateway, decision, cost_usd=0.6), 400)["param"] == "cost_usd"
    assert (await give(gateway, decision, cost_usd=0.4)).status_code == 200


async def test_feedback_belongs_to_the_key_of_the_decision(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    (owner, a), (other, b) = key_config("owner"), key_config("other")
    judge, c = key_config("judge", scopes=["feedback", "feedback_any"])
    gateway = await serve(upstream, triton=triton, security={"api_keys": [a, b, c]})
    decision = (await gateway.chat(headers=owner)).headers["x-router-decision-id"]
    body = {"decision_id": decision, "score": 1}
    refused = await gateway.http.post("/v1/feedback", json=body, headers=other)
    assert check_error(refused, 404)["code"] == "decision_not_found"
    assert not triton.scores
    for headers in (owner, judge):
        assert (await gateway.http.post("/v1/feedback", json=body, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("decision_id", "fields", "status"),
    [("unknown", {}, 404), ("known", {"task": "other"}, 400), ("known", {"score": -1}, 400), ("x" * 65, {}, 400)],
)
async def test_feedback_that_can_not_be_taken(
    serve: Serve,
    upstream: ScriptedUpstream,
    triton: ScriptedTriton,
    decision_id: str,
    fields: dict[str, Any],
    status: int,
) -> None:
    triton.decisions["known"] = {}
    gateway = await serve(upstream, triton=triton)
    check_error(await give(gateway, decision_id, **fields), status)


async def test_feedback_while_triton_is_away_is_503_with_retry_after(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    response = await give(gateway, "any")
    check_error(response, 503)
    assert response.headers["retry-after"] == "1"


async def test_feedback_waits_for_a_named_answers_report(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    triton.report_delay = 0.2
    gateway = await serve(upstream, triton=triton)
    decision = (await gateway.chat(model="a")).headers["x-router-decision-id"]
    assert decision not in triton.decisions
    assert (await give(gateway, decision)).status_code == 200


async def test_reports_wait_out_an_outage_of_triton(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton)
    triton.refuse = Refusal(grpc.StatusCode.INTERNAL, "UNAVAILABLE: the store is locked")
    made = [(await gateway.chat(model="a")).headers["x-router-decision-id"] for _ in range(5)]
    made.append((await gateway.chat()).headers["x-router-decision-id"])
    assert not triton.outcomes
    triton.refuse = None
    await until_reported(gateway)
    assert set(triton.outcomes) == set(made)
    assert {triton.decisions[decision]["kind"] for decision in made} == {"named", "fallback"}
    assert "llm_router_reports_lost_total 0.0" in (await gateway.http.get("/metrics")).text


async def test_reports_are_bounded_and_the_oldest_are_lost_first(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton, gateway={"reports_kept": 3})
    triton.refuse = Refusal(grpc.StatusCode.INTERNAL, "UNAVAILABLE: the store is locked")
    made = [(await gateway.chat(model="a")).headers["x-router-decision-id"] for _ in range(8)]
    assert gateway.app.outcomes.depth <= 6  # those that wait, and a group that is being tried
    triton.refuse = None
    await until_reported(gateway)
    assert made[-1] in triton.outcomes
    assert made[0] not in triton.outcomes


async def test_a_refused_report_does_not_hold_up_the_others(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton)
    triton.refuse = Refusal(grpc.StatusCode.INTERNAL, "INVALID_ARGUMENT: not like this")
    await gateway.chat(model="a")
    await until_reported(gateway)
    triton.refuse = None
    decision = (await gateway.chat(model="a")).headers["x-router-decision-id"]
    await until_reported(gateway)
    assert decision in triton.outcomes


async def test_an_outcome_that_can_not_be_written_down_is_lost_alone(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Forwarding lets no such reason in; the queue must not depend on that.
    monkeypatch.setattr("router_backend.forwarding.stream.schema.finish_reason", lambda reason: reason)
    upstream.script(Script(finish="\ud800"), Script())
    gateway = await serve(upstream, triton=triton)
    bad, good = [(await gateway.chat(model="a")).headers["x-router-decision-id"] for _ in range(2)]
    await until_reported(gateway)
    assert good in triton.outcomes
    assert bad not in triton.outcomes
    assert await metric(gateway, "llm_router_reports_lost_total") == 1


async def test_reports_are_sent_before_the_gateway_ends(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    triton.report_delay = 0.1
    gateway = await serve(upstream, triton=triton)
    decisions = [(await gateway.chat(model="a")).headers["x-router-decision-id"] for _ in range(3)]
    await gateway.app.outcomes.aclose()
    assert set(decisions) <= set(triton.outcomes)


async def test_ready_means_that_a_routed_request_would_succeed(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton, breaker={"failures": 1, "open_seconds": 60})
    await until_ready(gateway)
    triton.refuse = Refusal(grpc.StatusCode.UNAVAILABLE, "loading")
    assert (await gateway.http.get("/health/ready")).json()["route"] is False
    triton.refuse = None
    upstream.script(Script(status=503))
    await gateway.chat(model="a")
    response = await gateway.http.get("/health/ready")
    assert (response.status_code, response.json()["upstreams"]) == (503, {"a": "open"})
    assert (await gateway.http.get("/health/live")).status_code == 200


async def test_a_store_that_takes_nothing_is_said_by_readiness_and_to_who_gives_feedback(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, triton=triton)
    await until_ready(gateway)
    assert (await gateway.http.get("/health/ready")).json()["state"] is True
    decision = (await gateway.chat(model="a")).headers["x-router-decision-id"]
    await until_reported(gateway)
    advice = "redis://cache/0: the append-only file is off; set `appendonly yes`"
    triton.refuse_feedback = Refusal(grpc.StatusCode.UNAVAILABLE, f"UNAVAILABLE: {advice} (retry-after: 1)")
    response = await gateway.http.get("/health/ready")
    assert (response.status_code, response.json()["state"]) == (200, False)  # requests are answered all the same
    refused = await gateway.http.post("/v1/feedback", json={"decision_id": decision, "score": 1})
    assert refused.status_code == 503
    assert advice in refused.json()["error"]["message"]
    triton.refuse_feedback = None
    await until_reported(gateway)
    assert (await gateway.http.post("/v1/feedback", json={"decision_id": decision, "score": 1})).status_code == 200


async def test_a_decision_that_waits_here_for_the_store_is_not_called_unknown(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router_backend.gateway.routes.feedback._WAIT_SECONDS", 0.05)
    gateway = await serve(upstream, triton=triton)
    triton.refuse_records = Refusal(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE: the disk is full (retry-after: 1)")
    score = {"decision_id": (await gateway.chat(model="a")).headers["x-router-decision-id"], "score": 1}
    assert (await gateway.http.post("/v1/feedback", json=score)).status_code == 503
    triton.refuse_records = None
    await until_reported(gateway)
    assert (await gateway.http.post("/v1/feedback", json=score)).status_code == 200


async def metric(gateway: Running, name: str, **labels: str) -> float:
    """The sum of a metric's series that have these labels."""
    total = 0.0
    for line in (await gateway.http.get("/metrics")).text.splitlines():
        if re.match(rf"{name}[{{ ]", line) and all(f'{key}="{value}"' in line for key, value in labels.items()):
            total += float(line.rpartition(" ")[2])
    return total


async def test_metrics_tell_cost_savings_tokens_and_reasons(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, second, triton=triton)
    await gateway.chat()
    await gateway.chat(stream=True)
    await gateway.chat(model="b")
    cost_a = 2 * (7 * 1 + 3 * 2) / 1e6
    assert await metric(gateway, "llm_router_cost_usd_total", model="a") == pytest.approx(cost_a)
    assert await metric(gateway, "llm_router_savings_usd_total", model="a") == pytest.approx(9 * cost_a)
    assert await metric(gateway, "llm_router_savings_usd_total", model="b") == 0
    assert await metric(gateway, "llm_router_tokens_total", model="a", kind="prompt") == 14
    labels = {"task": "open_qa", "reason_class": "policy", "status": "200", "policy_version": "v1"}
    assert await metric(gateway, "llm_router_requests_total", model="a", **labels) == 2
    assert await metric(gateway, "llm_router_requests_total", reason_class="named") == 1
    assert await metric(gateway, "llm_router_first_token_seconds_count", model="a") == 1
    assert await metric(gateway, "llm_router_decision_seconds_count") == 2
    assert await metric(gateway, "llm_router_overhead_seconds_count") == 3
    assert await metric(gateway, "llm_router_upstream_state", model="b", state="closed") == 1


async def test_every_metric_has_a_name_by_convention_and_a_help_text(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    text = (await gateway.http.get("/metrics")).text
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    helps = dict(re.findall(r"^# HELP (\S+) (.+)$", text, re.MULTILINE))
    assert len(kinds) > 20
    for name, kind in kinds.items():
        assert name.startswith("llm_router_")
        assert helps[name].endswith(".")
        if kind == "counter":
            assert name.endswith("_total")


async def test_an_upstream_key_that_is_missing_fails_the_start(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    from router_backend.gateway.service import GatewaySettings
    from tests.support.arms import model, router_config

    broken = {"kind": "openai", "base_url": upstream.base_url, "api_key_file": str(tmp_path / "none")}
    config = router_config([model("a", upstream.base_url, upstream=broken)])
    with pytest.raises(ValueError, match="none"):
        create_app(GatewaySettings(config))
