"""The API for people, in a real browser (headless Chromium)."""

from __future__ import annotations

import shlex
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.gateway.conftest import Serve
from tests.gateway.page.test_console import PHONE, check_accessible, check_fits
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream

pytestmark = pytest.mark.system  # a browser


async def test_every_path_is_shown_with_its_fields_and_a_command_that_works(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, page: Page
) -> None:
    gateway = await serve(upstream, triton=triton)
    await page.goto(gateway.url)
    await page.get_by_role("link", name="API reference").click()
    described = (await gateway.http.get("/openapi.json")).json()
    listed = {f"{method}-{path}" for path, methods in described["paths"].items() for method in methods}
    await expect(page.locator("details.operation")).to_have_count(len(listed))
    shown = await page.locator("details.operation").evaluate_all("(all) => all.map((each) => each.id)")
    assert set(shown) == listed
    headings = await page.get_by_role("heading", level=2).all_text_contents()
    assert headings == [tag["name"] for tag in described["tags"]]

    route = page.locator("details", has_text="A decision alone.")
    await route.locator("summary").click()
    fields = route.get_by_role("table", name="Route")
    await expect(fields.get_by_role("row").nth(1)).to_contain_text("messageslist of ChatMessageyes")
    await expect(route.get_by_role("table", name="ChatMessage")).to_be_visible()
    await expect(route.get_by_role("table", name="Answers")).to_contain_text("429")
    words = shlex.split((await route.locator("pre").text_content() or "").replace("\\\n", ""))
    program, url, _, header, _, body = words
    assert program == "curl"
    name, _, value = header.partition(": ")
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(url, content=body, headers={name: value})
    assert answer.status_code == 200, answer.text


async def test_an_address_leads_to_one_path(serve: Serve, upstream: ScriptedUpstream, page: Page) -> None:
    gateway = await serve(upstream)
    await page.goto(f"{gateway.url}/docs#post-/v1/feedback")
    opened = page.locator("details[open]")
    await expect(opened).to_have_count(1)
    await expect(opened.get_by_role("table", name="FeedbackBody")).to_contain_text("scorenumber from 0 to 1yes")


async def test_without_the_playground_there_is_no_page(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream, gateway={"playground": False})
    assert (await gateway.http.get("/docs")).status_code == 404


@pytest.mark.parametrize("size", [{"width": 1280, "height": 860}, PHONE], ids=["desktop", "phone"])
async def test_the_page_is_accessible_and_fits(serve: Serve, upstream: ScriptedUpstream, page: Page, size: Any) -> None:
    gateway = await serve(upstream)
    await page.set_viewport_size(size)
    for path in ("post-/v1/chat/completions", "get-/v1/admin/decisions", "post-/v1/files"):
        await page.goto(f"{gateway.url}/docs#{path}")
        await expect(page.locator("details[open]").last).to_be_visible()
        await check_accessible(page)
        await check_fits(page)
