"""A real browser, and a gateway with a state behind it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from router_backend.core.records import Usage
from router_backend.state.open import open_store
from router_backend.state.store import Store
from tests.state.examples import make_decision, make_feedback, make_outcome
from tests.support.programs import system_program

expect.set_options(timeout=60_000)  # what is waited for comes; only a fault takes longer, on a busy machine, too


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A page that fails the test on any script error."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=system_program("chromium"), args=["--no-sandbox"])
        opened = await browser.new_page(viewport={"width": 1280, "height": 860})
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.on("console", lambda line: errors.append(line.text) if "Content Security Policy" in line.text else None)
        yield opened
        await browser.close()
        assert not errors


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty state, as all gateways of a deployment share it."""
    opened = open_store("sqlite:///state.db", tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def decided(store: Store) -> list[str]:
    """Ids of 60 decisions about the models `a` and `b`, a minute apart, the latest first. Every third is scored; `b` is better and
    more expensive; the last but one fell back; the latest has no answer yet."""
    now, made = time.time(), []
    for at in range(60):
        model, task = "ab"[at % 2], ("math", "open_qa", "rewrite")[at % 3]
        made.append(
            make_decision(
                at,
                created=now - 60.0 * at - 1.0,
                model=model,
                task=task,
                candidates=("a", "b"),
                scores=(0.5, 0.6) if model == "b" else (0.7, 0.6),
                expected_cost=(0.001, 0.01),
                task_probabilities=(0.1,) * 10,
                reason="explore" if at == 5 else "policy:linucb",
            )
        )
    outcomes = [
        make_outcome(
            decision,
            served="b" if at == 1 else decision.model,
            cost=0.01 if decision.model == "b" else 0.001,
            key="search-team" if at % 2 else "chat-team",
            latency=0.5 + at / 100,
            first_token=0.2,
            status=502 if at == 7 else 200,
            usage=Usage(prompt=100, completion=50),
        )
        for at, decision in enumerate(made)
        if at
    ]
    made[1] = replace(made[1], model="a")  # which could not answer
    store.append(made, outcomes)
    for at, decision in enumerate(made):
        if at % 3 == 1:
            store.add_feedback(make_feedback(decision, 0.9 if decision.model == "b" else 0.5))
    return [decision.decision_id for decision in made]
