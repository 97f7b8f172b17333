"""The judge grades in the background, for a budget, and keeps nothing of what it has read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson
import pytest

from router_backend.config.judge import JudgeConfig
from router_backend.core.decision import RoutedDecision
from router_backend.core.judgement import Judgement
from router_backend.core.records import JUDGE
from router_backend.gateway import judge as judging
from router_backend.gateway.judge import selection, unsure
from tests.gateway.conftest import Running, Serve
from tests.gateway.test_review import decision, signals
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream

GRADE = Script(text=['{"reason": "its capital is', ' elsewhere", "score": 7}'])
ALL = {"models": ["b"], "share": 1.0}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "_PAUSE", 0.01)


async def metric(gateway: Running, line: str) -> None:
    """Until a metric is there."""
    async with asyncio.timeout(60):
        while line not in (await gateway.http.get("/metrics")).text:
            await asyncio.sleep(0.01)


def reported(triton: ScriptedTriton) -> list[dict[str, Any]]:
    return [outcome for outcome in triton.outcomes.values() if outcome["key"] == JUDGE]


async def paid(triton: ScriptedTriton, count: int) -> list[dict[str, Any]]:
    """The judge's outcomes, once there are so many: they are reported in groups, later than its scores."""
    async with asyncio.timeout(60):
        while len(reported(triton)) < count:
            await asyncio.sleep(0.01)
    return reported(triton)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_is_graded_by_another_model(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton, stream: bool
) -> None:
    second.script(GRADE)
    gateway = await serve(upstream, second, triton=triton, judge=ALL, arms={"b": {"capabilities": ["json"]}})
    answered = decision(await gateway.chat("Where is Paris?", stream=stream))
    assert await signals(triton, 1) == [(answered, "judge", 0.7)]
    (question,) = second.requests
    assert question["temperature"] == 0
    assert question["response_format"]["json_schema"]["strict"]
    assert "Where is Paris?" in question["messages"][1]["content"]
    assert "Hello, world" in question["messages"][1]["content"]
    (outcome,) = await paid(triton, 1)
    assert (outcome["served"], outcome["cost"]) == ("b", pytest.approx((7 * 10 + 3 * 20) * 1e-6))
    await metric(gateway, 'llm_router_judge_graded_total{model="b",task="open_qa"} 1.0')


async def test_nothing_of_request_answer_and_reason_is_stored_or_logged(
    serve: Serve,
    upstream: ScriptedUpstream,
    second: ScriptedUpstream,
    triton: ScriptedTriton,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    second.script(GRADE)
    gateway = await serve(upstream, second, triton=triton, judge=ALL)
    await gateway.chat("my secret")
    await signals(triton, 1)
    kept = orjson.dumps([list(triton.outcomes.values()), list(triton.decisions.values()), triton.signals]).decode()
    for text in ("my secret", "Hello", "elsewhere"):
        assert text not in kept
        assert text not in caplog.text


async def test_nobody_grades_unless_models_are_named(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, second, triton=triton)
    await gateway.chat()
    assert gateway.app.reviewer.held == 0
    assert second.requests == []


async def test_a_model_does_not_grade_its_own_answers(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, second, triton=triton, judge={**ALL, "models": ["a"]})
    await gateway.chat()
    await metric(gateway, 'llm_router_judge_dropped_total{cause="no_judge"} 1.0')
    assert len(upstream.requests) == 1


async def test_the_budget_of_a_day_holds_across_restarts(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    second.script(GRADE)
    # Room for one at the most that it can cost (0.04 USD at these prices, of which 0.00013 are spent), not for more.
    limited = {**ALL, "usd_per_day": 0.045}
    first = await serve(upstream, second, triton=triton, judge=limited)
    await first.chat()
    await signals(triton, 1)
    (outcome,) = await paid(triton, 1)
    outcome["cost"] = 0.044  # as if it had been dear
    again = await serve(upstream, second, triton=triton, judge=limited)
    await again.chat()
    await metric(again, 'llm_router_judge_dropped_total{cause="budget"} 1.0')
    assert len(second.requests) == 1
    assert len(reported(triton)) == 1


async def test_a_judgement_that_could_exceed_the_budget_is_not_asked_for(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    gateway = await serve(upstream, second, triton=triton, judge={**ALL, "usd_per_day": 0.001})
    await gateway.chat()
    await metric(gateway, 'llm_router_judge_dropped_total{cause="budget"} 1.0')
    assert second.requests == []


async def test_without_word_of_what_was_spent_nothing_is_asked(
    serve: Serve,
    upstream: ScriptedUpstream,
    second: ScriptedUpstream,
    triton: ScriptedTriton,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(judging, "_KNOWN_SECONDS", 0.01)
    triton.hold_reports = asyncio.Event()
    second.script(GRADE)
    gateway = await serve(upstream, second, triton=triton, judge=ALL)
    answered = decision(await gateway.chat())
    async with asyncio.timeout(10):
        while not gateway.app.judge.waiting:
            await asyncio.sleep(0.005)
    assert second.requests == []
    triton.hold_reports.set()
    assert await signals(triton, 1) == [(answered, "judge", 0.7)]


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        (Script(text=["I like it."]), "unreadable"),
        (Script(status=500), "failed"),
        (Script(latency=60), "timeout"),
    ],
)
async def test_what_is_no_grade_teaches_nothing_and_costs_the_most_where_nobody_knows(
    serve: Serve,
    upstream: ScriptedUpstream,
    second: ScriptedUpstream,
    triton: ScriptedTriton,
    script: Script,
    cause: str,
) -> None:
    second.script(script)
    gateway = await serve(
        upstream, second, triton=triton, judge={**ALL, "timeout_seconds": 1.0 if cause == "timeout" else 30}
    )
    await gateway.chat()
    await metric(gateway, f'llm_router_judge_dropped_total{{cause="{cause}"}} 1.0')
    async with asyncio.timeout(10):
        while not reported(triton):
            await asyncio.sleep(0.005)
    (outcome,) = reported(triton)
    assert (outcome["cost"] > 0.01) == (cause != "unreadable")
    assert triton.signals == []


async def test_too_many_that_wait_are_dropped_oldest_first(
    serve: Serve,
    upstream: ScriptedUpstream,
    second: ScriptedUpstream,
    triton: ScriptedTriton,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(judging, "_WAITING", 1)
    triton.hold_reports = asyncio.Event()
    second.script(GRADE)
    gateway = await serve(upstream, second, triton=triton, judge=ALL)
    answered = [decision(await gateway.chat()) for _ in range(3)]
    await metric(gateway, 'llm_router_judge_dropped_total{cause="queue"} 2.0')
    triton.hold_reports.set()
    assert await signals(triton, 1) == [(answered[-1], "judge", 0.7)]


PAIR = {"models": ["c"], "share": 1.0, "pairs": {"share": 1.0, "reference": "b"}}


def prefers(best: str) -> Callable[[Mapping[str, Any]], Script]:
    """A judge that finds one of the two answers better, wherever it stands."""

    def script(body: Mapping[str, Any]) -> Script:
        shown = body["messages"][1]["content"]
        first = shown.index("first-answer>") < shown.index(best) < shown.index("second-answer>")
        return Script(
            text=[orjson.dumps({"reason": "r", "first": 9 if first else 2, "second": 2 if first else 9}).decode()]
        )

    return script


@pytest.fixture
async def third() -> AsyncIterator[ScriptedUpstream]:
    """The server of model `c`."""
    async with ScriptedUpstream() as server:
        yield server


async def test_an_answer_is_compared_with_the_reference_models_in_an_order_that_is_drawn(
    serve: Serve,
    upstream: ScriptedUpstream,
    second: ScriptedUpstream,
    third: ScriptedUpstream,
    triton: ScriptedTriton,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = await serve(upstream, second, third, triton=triton, judge=PAIR, arms={"c": {"capabilities": ["json"]}})
    second.script(*[Script(text=["It is far away."])] * 2)
    third.script_by(prefers("Hello, world"))
    for drawn in (0.1, 0.9):  # the order, too
        monkeypatch.setattr(gateway.app.judge._draw, "random", lambda drawn=drawn: drawn)
        answered = decision(await gateway.chat("Where is Paris?", stream=True, user="me", max_tokens=50))
        await signals(triton, 1 + (drawn > 0.5))
        assert triton.signals[-1] == (answered, "compared", 0.9)
    again = second.requests[0]
    assert (again["messages"], again["max_tokens"]) == ([{"role": "user", "content": "Where is Paris?"}], 50)
    assert "user" not in again
    first, other = (request["messages"][1]["content"] for request in third.requests)
    assert first.index("Hello, world") < first.index("It is far away.")
    assert other.index("Hello, world") > other.index("It is far away.")
    assert third.requests[0]["response_format"]["json_schema"]["schema"]["required"] == ["reason", "first", "second"]
    kept = [Judgement.of(tags) for tags in triton.signal_tags]
    assert kept == [
        Judgement(
            judge="c", characters=12, reference="b", reference_characters=15, reference_score=0.2, first=drawn < 0.5
        )
        for drawn in (0.1, 0.9)
    ]
    assert [outcome["served"] for outcome in await paid(triton, 4)] == ["b", "c"] * 2
    await metric(gateway, 'llm_router_judge_compared_total{better="answer",model="a"} 2.0')


@pytest.mark.parametrize(
    ("fields", "script", "cause"),
    [
        ({}, Script(text=["cut"], finish="length"), "no_answer"),
        ({}, Script(text=[""]), "no_answer"),
        ({}, Script(status=500), "failed"),
    ],
)
async def test_without_an_answer_of_the_reference_model_nothing_is_compared(
    serve: Serve,
    upstream: ScriptedUpstream,
    second: ScriptedUpstream,
    third: ScriptedUpstream,
    triton: ScriptedTriton,
    fields: dict[str, Any],
    script: Script,
    cause: str,
) -> None:
    second.script(script)
    gateway = await serve(upstream, second, third, triton=triton, judge=PAIR)
    await gateway.chat(**fields)
    await metric(gateway, f'llm_router_judge_dropped_total{{cause="{cause}"}} 1.0')
    assert third.requests == []
    assert triton.signals == []


async def test_both_answers_may_end_at_the_clients_own_limit(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, third: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    second.script(Script(text=["cut"], finish="length"))
    third.script(Script(text=['{"first": 4, "second": 4}']))
    gateway = await serve(upstream, second, third, triton=triton, judge=PAIR)
    answered = decision(await gateway.chat(max_tokens=5))
    assert await signals(triton, 1) == [(answered, "compared", 0.4)]


@pytest.mark.parametrize(
    ("judge", "fields"),
    [
        ({"pairs": {"share": 1.0, "reference": "a"}}, {}),  # its own answer
        ({"models": ["b"]}, {}),  # the judge would grade its own
        ({}, {"tools": [{"type": "function", "function": {"name": "look", "parameters": {}}}]}),
    ],
)
async def test_what_can_not_be_compared_is_graded_alone(
    serve: Serve,
    upstream: ScriptedUpstream,
    second: ScriptedUpstream,
    third: ScriptedUpstream,
    triton: ScriptedTriton,
    judge: dict[str, Any],
    fields: dict[str, Any],
) -> None:
    second.script(GRADE)
    third.script(GRADE)
    gateway = await serve(
        upstream, second, third, triton=triton, judge={**PAIR, **judge}, arm={"capabilities": ["tools"]}
    )
    answered = decision(await gateway.chat(**fields))
    assert await signals(triton, 1) == [(answered, "judge", 0.7)]
    assert len(second.requests) + len(third.requests) == 1


async def test_a_judge_compares_its_own_answers_where_it_is_told_to(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    second.script(Script(text=["mine"]), Script(text=['{"reason": "r", "first": 5, "second": 5}']))
    gateway = await serve(upstream, second, triton=triton, judge={**PAIR, "models": ["b"], "grades_itself": True})
    answered = decision(await gateway.chat())
    assert await signals(triton, 1) == [(answered, "compared", 0.5)]
    await metric(gateway, 'llm_router_judge_compared_total{better="neither",model="a"} 1.0')


async def test_a_comparison_stays_within_the_budget(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, third: ScriptedUpstream, triton: ScriptedTriton
) -> None:
    """Room for the reference model's answer at the most that it can cost, not for the judgement behind it."""
    gateway = await serve(
        upstream,
        second,
        third,
        triton=triton,
        judge={**PAIR, "usd_per_day": 0.02, "pairs": {**PAIR["pairs"], "max_tokens": 16}},
    )
    await gateway.chat()
    await metric(gateway, 'llm_router_judge_dropped_total{cause="budget"} 1.0')
    assert third.requests == []
    assert sum(outcome["cost"] for outcome in reported(triton)) <= 0.02


def test_the_closer_two_models_are_the_more_is_graded() -> None:
    config = JudgeConfig(models=["b"], share=0.1, shares={"math": 0.3, "other": 0.0}, unsure_share=0.2)

    def made(task: str, second: float, bonus: float = 0.1, **fields: Any) -> RoutedDecision:
        means, bonuses = {"a": 0.5, "b": second, "c": 0.0}, dict.fromkeys("abc", bonus)
        fields = {"propensity": 0.9, "means": means, "bonuses": bonuses, **fields}
        return RoutedDecision(decision_id="1", model="a", reason="policy:linucb", task=task, **fields)

    assert [unsure(made("", second)) for second in (0.5, 0.4, 0.3, 0.0)] == pytest.approx([1.0, 0.5, 0.0, 0.0])
    assert unsure(made("", 0.5, bonus=0.0)) == 0.0
    assert unsure(made("", 0.5, means={"a": 1.0})) == 0.0
    assert selection(config, made("chatbot", 0.5)) == pytest.approx(0.2)
    assert selection(config, made("chatbot", 0.0)) == pytest.approx(0.1)
    assert selection(config, made("math", 0.5)) == pytest.approx(0.3)
    assert selection(config, made("other", 0.5)) == 0.0
    assert selection(config, made("chatbot", 0.5, propensity=None)) == 0.0
