"""Under the cascade policy a refusal goes on to the next model, and both answers are paid for."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from router_backend.core.decision import RoutedDecision
from router_backend.core.ids import new_decision_id
from tests.gateway.conftest import Serve
from tests.gateway.keys.test_auth import key_config
from tests.gateway.test_disconnects import connect
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream

READ = 5 * 10e-6  # USD for the prompt that `b` was reading when the client left: an estimate of 5 tokens


def _decided(reason: str) -> RoutedDecision:
    return RoutedDecision(
        decision_id=new_decision_id(), model="a", reason=reason, ranking=["a", "b"], policy="cascade", task="open_qa"
    )


async def _outcome(triton: ScriptedTriton) -> dict[str, Any]:
    async with asyncio.timeout(5):
        while not triton.outcomes:
            await asyncio.sleep(0.01)
    return next(iter(triton.outcomes.values()))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_goes_on_to_the_next_model(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton, stream: bool
) -> None:
    upstream.script(Script(text=["I'm sorry, but I can't help with that."]))
    triton.decide = lambda _: _decided("policy:cascade")
    gateway = await serve(upstream, second, triton=triton, policy={"name": "cascade"})
    response = await gateway.chat(stream=stream)
    assert response.headers["x-router-model"] == "b"
    assert "sorry" not in response.text
    outcome = await _outcome(triton)
    assert outcome["served"] == "b"
    # 7 + 3 tokens each: at 1 and 2 USD a million for a, ten times that for b.
    assert outcome["cost"] == pytest.approx((13 + 130) / 1e6)


async def test_where_exploration_chose_the_answer_is_taken_as_it_is(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    upstream.script(Script(text=["I'm sorry, but I can't help with that."]))
    triton.decide = lambda _: _decided("explore")
    gateway = await serve(upstream, second, triton=triton, policy={"name": "cascade"})
    assert (await gateway.chat()).headers["x-router-model"] == "a"
    assert not second.requests


async def test_a_client_that_leaves_in_the_middle_has_the_earlier_answers_paid(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    upstream.script(Script(text=["I'm sorry, but I can't help with that."]))
    second.script(Script(latency=math.inf))
    triton.decide = lambda _: _decided("policy:cascade")
    gateway = await serve(upstream, second, triton=triton, policy={"name": "cascade"})
    _, writer = await connect(gateway, model="auto")
    await second.wait_running()
    writer.close()
    outcome = await _outcome(triton)
    assert outcome["status"] == 499
    assert outcome["cost"] == pytest.approx(13 / 1e6 + READ)


async def test_a_cascade_that_nobody_answers_has_its_broken_answers_paid(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    upstream.script(Script(text=["one", "two", "three"], cut_after=3, delay=0.01))
    second.script(Script(status=500))
    triton.decide = lambda _: _decided("policy:cascade")
    gateway = await serve(upstream, second, triton=triton, policy={"name": "cascade"}, retries={"attempts": 1})
    assert (await gateway.chat(stream=True)).status_code == 502
    outcome = await _outcome(triton)
    assert outcome["status"] == 502
    assert outcome["cost"] > 0


async def test_what_a_cascade_has_spent_is_charged_though_the_client_left(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    upstream.script(Script(text=["I'm sorry, but I can't help with that."]))
    second.script(Script(first_delay=math.inf))
    triton.decide = lambda _: _decided("policy:cascade")
    headers, entry = key_config("k", usd_per_day=1)
    gateway = await serve(upstream, second, triton=triton, policy={"name": "cascade"}, security={"api_keys": [entry]})
    request = asyncio.create_task(gateway.chat(headers=headers))
    await second.wait_running()
    request.cancel()
    outcome = await _outcome(triton)
    assert (outcome["status"], outcome["cost"]) == (499, pytest.approx(13e-6 + READ))
    assert gateway.app.budgets.spent("k") == pytest.approx((13e-6 + READ, 13e-6 + READ))
