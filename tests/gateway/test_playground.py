"""The playground in a real browser (headless Chromium)."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright, expect

from router_backend.contract import TASKS
from router_backend.core.decision import RoutedDecision
from router_backend.core.ids import new_decision_id
from tests.gateway.conftest import Serve
from tests.gateway.keys.test_auth import key_config
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import Script, ScriptedUpstream


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A page that fails the test on any script error."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, (
        "the playground's tests need a browser: apt-get install chromium (tests/tools/install-system-packages)"
    )
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opened = await browser.new_page(viewport={"width": 1280, "height": 860})
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.on("console", lambda line: errors.append(line.text) if "Content Security Policy" in line.text else None)
        yield opened
        await browser.close()
        assert not errors


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


async def test_it_can_be_turned_off(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream, gateway={"playground": False})
    for path in ("/", "/playground.js", "/playground.css"):
        assert (await gateway.http.get(path)).status_code == 404
