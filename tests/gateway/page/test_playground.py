"""The playground in a real browser (headless Chromium)."""

from __future__ import annotations

import ast
import json
import shlex
from dataclasses import replace
from typing import Any

import pytest
from playwright.async_api import Page, expect

from router_backend.contract import TASKS
from router_backend.core.decision import RoutedDecision
from router_backend.core.ids import new_decision_id
from router_backend.gateway.routes.playground import FILES
from tests.gateway.conftest import Serve
from tests.gateway.keys.test_auth import key_config
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream

pytestmark = pytest.mark.system  # a browser


def learning(triton: ScriptedTriton) -> None:
    """Makes the scripted router learn: each score moves the first arm's mean, as the real one's do."""
    probabilities = [0.01] * len(TASKS)
    probabilities[TASKS.index("code_generation")] = 0.8
    probabilities[TASKS.index("math")] = 0.1

    def decide(inputs: dict[str, Any]) -> RoutedDecision:
        scores = [score for _, score in triton.scores]
        return replace(
            triton.decision(inputs),
            decision_id=new_decision_id(),
            task="code_generation",
            task_probabilities=probabilities,
            complexity=0.42,
            means={"a": 0.5 + 0.1 * sum(scores) - 0.1 * scores.count(0), "b": 0.3},
        )

    triton.decide = decide


async def test_a_prompt_streams_is_explained_and_teaches(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton, page: Page
) -> None:
    learning(triton)
    upstream.script(Script(text=["def merge", "(a, b):", " <b>…</b>"], delay=0.4))
    gateway = await serve(upstream, second, triton=triton)
    await page.goto(gateway.url)
    await expect(page.locator("#model option")).to_have_count(3)
    await page.fill("#prompt", "Merge two sorted lists")
    await page.keyboard.press("Enter")
    await expect(page.locator(".answer.running .text")).to_contain_text("def merge")
    # The decision is explained while the answer still runs.
    await expect(page.locator("#chosen")).to_have_text("a")
    await expect(page.locator(".task.top")).to_contain_text("code generation80 %")
    await expect(page.locator("#complexity-value")).to_have_text("0.42")
    arm = page.locator("[data-arm=a]")
    await expect(arm.locator(".numbers").last).to_contain_text("0.500 +0.100")
    await expect(page.locator(".answer .text")).to_have_text("def merge(a, b): <b>…</b>")
    await expect(page.locator("#total-requests")).to_have_text("1")
    await expect(page.locator("#total-cost")).to_contain_text("$0.000013")
    await expect(page.locator("#total-savings")).to_contain_text("$0.00012")
    await page.click(".vote[title='Good answer']")
    await expect(page.locator(".foot")).to_contain_text("learned a reward of 0.875")
    await expect(arm.locator(".delta.up")).to_have_text("+0.100")
    assert [score for _, score in triton.scores] == [1]
    await expect(page.locator(".vote[title='Bad answer']")).to_be_disabled()


async def test_a_conversation_goes_on_with_its_history_and_session(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, page: Page
) -> None:
    gateway = await serve(upstream, triton=triton)
    await page.goto(gateway.url)
    for turn, prompt in enumerate(("first", "second"), 1):
        await page.fill("#prompt", prompt)
        await page.click("#send")
        await expect(page.locator(".vote[title='Good answer']")).to_have_count(turn)
    assert [message["content"] for message in upstream.requests[1]["messages"]] == ["first", "Hello, world", "second"]
    assert triton.asked[0]["session_id"] == triton.asked[1]["session_id"]
    assert triton.asked[1]["previous_model"] == "a"


async def test_failures_are_shown_and_a_key_can_be_given(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, page: Page
) -> None:
    headers, entry = key_config("browser")
    gateway = await serve(upstream, triton=triton, security={"api_keys": [entry]})
    await page.goto(gateway.url)
    await expect(page.locator("#empty")).to_contain_text("No API key provided")
    await page.fill("#prompt", "hi")
    await page.click("#send")
    await expect(page.locator(".answer .error")).to_contain_text("No API key provided")
    await page.fill("#key", headers["authorization"].removeprefix("Bearer "))
    await page.fill("#prompt", "hi")
    await page.click("#send")
    await expect(page.locator(".answer .text").last).to_have_text("Hello, world")


async def test_an_answer_can_be_stopped_and_what_was_said_stays(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, page: Page
) -> None:
    upstream.script(Script(text=["Once", " upon", " a"], hang_after=3), Script())
    gateway = await serve(upstream, triton=triton)
    await page.goto(gateway.url)
    await page.fill("#prompt", "Tell a long story")
    await page.keyboard.press("Enter")
    await expect(page.locator(".answer .text")).to_have_text("Once upon")
    await expect(page.locator("#send")).to_be_hidden()
    await page.keyboard.press("Escape")
    await expect(page.locator(".answer .foot")).to_contain_text("stopped")
    await expect(page.locator(".answer .text")).to_have_text("Once upon")
    await expect(page.locator("#send")).to_be_visible()
    await page.fill("#prompt", "Go on")
    await page.click("#send")
    await expect(page.locator(".vote[title='Good answer']")).to_have_count(2)
    assert [message["content"] for message in upstream.requests[1]["messages"]][:2] == [
        "Tell a long story",
        "Once upon",
    ]


async def test_code_lists_and_emphasis_are_shown_and_html_is_text(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, page: Page
) -> None:
    text = "## Plan\n1. **sort**\n2. `merge`\n\nThen *run*:\n```python\nprint('<b>')\n\n# done\n```\n<img src=x onerror=alert(1)>"
    upstream.script(Script(text=[text[:30], text[30:]]))
    gateway = await serve(upstream, triton=triton)
    await page.goto(gateway.url)
    await page.fill("#prompt", "hi")
    await page.click("#send")
    answer = page.locator(".answer .text")
    await expect(answer.locator("h4")).to_have_text("Plan")
    await expect(answer.locator("ol > li")).to_have_text(["sort", "merge"])
    await expect(answer.locator("strong")).to_have_text("sort")
    await expect(answer.locator("em")).to_have_text("run")
    await expect(answer.locator("pre")).to_have_text("print('<b>')\n\n# done")
    await expect(answer.locator(".code-head > span")).to_have_text("python")
    await expect(answer.locator("img")).to_have_count(0)
    await expect(answer).to_contain_text("<img src=x onerror=alert(1)>")


async def test_system_prompt_and_hints_are_sent_and_can_be_copied(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, page: Page
) -> None:
    gateway = await serve(upstream, triton=triton)
    await page.goto(gateway.url)
    await page.click(".options summary")
    await page.get_by_label("System prompt").fill("Be brief, it's late")
    await page.get_by_label("Max tokens").fill("7")
    await page.get_by_label("Min quality").fill("0.25")
    await page.fill("#prompt", 'Say "hi"')
    await page.click("#send")
    await expect(page.locator(".copy")).to_have_count(2)
    sent = upstream.requests[0]
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert sent["max_tokens"] == 7
    assert triton.asked[0]["min_quality"] == 0.25
    curl, program = [await page.locator(".copy").nth(at).get_attribute("data-copies") for at in (0, 1)]
    assert curl is not None
    assert program is not None
    words = shlex.split(curl)
    assert words[:3] == ["curl", "-sN", f"{gateway.url}/v1/chat/completions"]
    assert "x-router-min-quality: 0.25" in words
    assert json.loads(words[-1])["messages"] == sent["messages"]
    create = next(
        node
        for node in ast.walk(ast.parse(program))
        if isinstance(node, ast.Call) and any(given.arg == "messages" for given in node.keywords)
    )
    given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in create.keywords}
    assert given["messages"] == sent["messages"]
    assert given["extra_headers"] == {"x-router-min-quality": "0.25"}


async def test_an_answer_that_another_gateway_decided_is_shown(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, page: Page
) -> None:
    """Behind several gateways, the page may ask one for the decision that another one has made."""
    gateway = await serve(upstream, triton=triton)
    await page.route(f"{gateway.url}/v1/decisions/*", lambda route: route.fulfill(status=404, body="{}"))
    await page.goto(gateway.url)
    await page.fill("#prompt", "hi")
    await page.click("#send")
    await expect(page.locator(".answer .text")).to_have_text("Hello, world")
    await expect(page.locator("#chosen")).to_have_text("a")
    await page.click(".vote[title='Good answer']")
    await expect(page.locator(".foot")).to_contain_text("learned a reward of")


async def test_it_fits_a_phone_and_has_names_for_screen_readers(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, page: Page
) -> None:
    learning(triton)
    upstream.script(Script(text=["```\n" + "x" * 400 + "\n```"]))
    gateway = await serve(upstream, triton=triton)
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.goto(gateway.url)
    await page.fill("#prompt", "hi")
    await page.click("#send")
    await expect(page.locator(".vote[title='Good answer']")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    unnamed = await page.evaluate(
        "[...document.querySelectorAll('input, select, textarea, button')].filter((each) => !each.labels?.length"
        " && !each.getAttribute('aria-label') && !each.textContent.trim()).map((each) => each.outerHTML)"
    )
    assert unnamed == []


async def test_it_can_be_turned_off(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream, gateway={"playground": False})
    for path in FILES:
        assert (await gateway.http.get(path)).status_code == 404
