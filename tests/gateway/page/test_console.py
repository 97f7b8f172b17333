"""The operator's console in a real browser (headless Chromium)."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Locator, Page, expect

from router_backend.state.store import Store
from tests.gateway.conftest import Running, Serve
from tests.gateway.keys.test_auth import key_config
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream

pytestmark = pytest.mark.system  # a browser
PHONE = {"width": 360, "height": 740}


@pytest.fixture
async def gateway(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton, store: Store
) -> Running:
    triton.store = store
    return await serve(upstream, second, triton=triton)


async def check_accessible(page: Page) -> None:
    """No violation that axe finds, in light and in dark."""
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        found: dict[str, Any] = (await Axe().run(page)).response
        said = [
            (each["id"], scheme, [(node["html"][:200], node.get("failureSummary", "")[:300]) for node in each["nodes"]])
            for each in found["violations"]
        ]
        assert said == []


async def check_fits(page: Page) -> None:
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    # Wide tables scroll sideways in themselves, and are as high as what they hold.
    cut = (
        "[...document.querySelectorAll('.scrolls')].filter((each) => each.clientHeight < each.firstChild.offsetHeight)"
    )
    assert await page.evaluate(f"{cut}.map((each) => each.ariaLabel)") == []


async def test_operators_look_through_decisions_and_into_one(gateway: Running, decided: list[str], page: Page) -> None:
    await page.goto(gateway.url)
    await page.get_by_role("tab", name="Decisions").click()
    panel = page.get_by_role("tabpanel", name="Decisions")
    await expect(panel.get_by_role("row")).to_have_count(51)
    await panel.get_by_role("button", name="Show older ones").click()
    await expect(panel.get_by_role("row")).to_have_count(61)
    await panel.get_by_label("Task").fill("rewrite")
    await panel.get_by_label("API key").fill("search-team")
    await page.keyboard.press("Enter")
    await expect(panel.get_by_role("row")).to_have_count(11)
    await panel.get_by_label("Task").fill("poetry")
    await panel.get_by_role("button", name="Filter").click()
    await expect(panel.get_by_role("status").last).to_contain_text("No decision fits this filter")
    await panel.get_by_role("button", name="Clear").click()
    await panel.get_by_role("link").nth(1).click()
    await expect(panel.get_by_role("heading", level=2)).to_be_focused()
    await expect(panel).to_contain_text("b, as a could not")
    await expect(panel).to_contain_text("The policy linucb expected the best reward of a.")
    await expect(panel.get_by_role("row").nth(2)).to_contain_text("achosen0.500$0.0010$0.00020")
    assert page.url.endswith(f"#decisions/{decided[1]}")
    await page.go_back()
    await expect(panel.get_by_role("row")).to_have_count(51)


async def test_models_learning_spending_and_configuration_are_shown(
    serve: Serve,
    upstream: ScriptedUpstream,
    second: ScriptedUpstream,
    triton: ScriptedTriton,
    store: Store,
    decided: list[str],
    page: Page,
) -> None:
    triton.store = store
    triton.changes = (
        b'{"changes": {"b": [{"at": 1790000000.0, "observations": 40, "shift": -0.25}]},'
        b' "agreements": {"judge": {"pairs": 30, "agreement": 0.9, "bias": 0.1, "weight": 0.5}}}'
    )
    operator, entry = key_config("chat-team", scopes=["admin"], usd_per_day=0.02, group="chat")
    security = {"api_keys": [entry], "groups": [{"name": "chat", "requests_per_minute": 600}]}
    headers = {"authorization": "Bearer upstream-secret"}
    gateway = await serve(
        upstream,
        second,
        triton=triton,
        security=security,
        arm={"upstream": {"kind": "openai", "base_url": upstream.base_url, "model": "m", "headers": headers}},
    )
    await page.goto(gateway.url)
    await page.get_by_label("API key").first.fill(operator["authorization"].removeprefix("Bearer "))
    await page.keyboard.press("Tab")

    async def shown(name: str) -> Locator:
        await page.get_by_role("tab", name=name).click()
        panel = page.get_by_role("tabpanel", name=name)
        await expect(panel.get_by_role("heading", level=2)).to_have_text(name)
        return panel

    models = await shown("Models")
    await models.get_by_role("combobox", name="Time").select_option("1d")
    row = models.get_by_role("row").filter(has_text="takes requests").nth(1)
    await expect(row).to_contain_text("b")
    await expect(row).to_contain_text("51 %301 (3.3 %)")
    learning = await shown("Learning")
    await expect(learning).to_contain_text("20 of 59 (34 %)")
    await expect(learning).to_contain_text("Too few scores to compare routing with one model alone")
    await expect(learning.get_by_role("row").filter(has_text="open qa")).to_contain_text("0.86 ± 0.08 (10)")
    await expect(learning).to_contain_text("−0.25")
    await learning.get_by_text("Numbers").first.click()
    await expect(learning.get_by_role("table", name="Quality over time, by model, as numbers")).to_be_visible()
    spending = await shown("Spending")
    await expect(spending.get_by_role("row").filter(has_text="chat-team")).to_contain_text("of $0.020")
    await expect(spending).to_contain_text("search-teamno longer configured")
    configuration = await shown("Configuration")
    await expect(configuration).to_contain_text("sha256: …")
    assert "upstream-secret" not in await configuration.inner_text()
    assert entry["sha256"] not in await configuration.inner_text()


async def test_charts_say_when_they_begin_and_end(gateway: Running, decided: list[str], page: Page) -> None:
    async with page.expect_response("**/v1/admin/learning*") as told:
        await page.goto(f"{gateway.url}/#learning")
    course = (await (await told.value).json())["course"]
    panel = page.get_by_role("tabpanel", name="Learning")
    chart = panel.locator("figure").filter(has_text="Answers over time, by model")
    frame, names = await chart.locator("svg").first.bounding_box(), chart.locator("svg > text.axis")
    assert frame is not None
    written = [await names.nth(at).text_content() for at in range(3, await names.count())]  # after those of the heights
    assert written == [await clock(page, course[at]["start"]) for at in (0, -1)]
    left, right = await names.nth(3).bounding_box(), await names.nth(4).bounding_box()
    assert left is not None
    assert right is not None
    grid = await chart.locator("svg > line.grid").first.bounding_box()
    assert grid is not None
    for box in (left, right):
        assert frame["y"] <= box["y"]
        assert box["y"] + box["height"] <= frame["y"] + frame["height"] + 1
    assert left["x"] == pytest.approx(grid["x"], abs=1)
    assert right["x"] + right["width"] == pytest.approx(grid["x"] + grid["width"], abs=1)
    assert left["x"] + left["width"] < right["x"]


async def clock(page: Page, unix: float) -> str:
    """As the page's language and time zone write it."""
    written: str = await page.evaluate(
        "async (at) => (await import('/parts.js')).time(at).textContent.slice(0, -3)", unix
    )
    return written


async def test_names_of_filters_in_a_row_have_one_height(gateway: Running, decided: list[str], page: Page) -> None:
    await page.goto(f"{gateway.url}/#decisions")
    labels = page.get_by_role("form", name="Filter").locator("label")
    await expect(labels.first).to_be_visible()
    rows: dict[int, set[int]] = {}  # tops by bottoms: the form aligns its labels at their ends
    for each in await labels.all():
        box = await each.bounding_box()
        assert box is not None
        rows.setdefault(round(box["y"] + box["height"]), set()).add(round(box["y"]))
    assert len(rows) < await labels.count()
    assert all(len(tops) == 1 for tops in rows.values()), rows


async def test_without_decisions_the_page_says_how_to_make_some(gateway: Running, page: Page) -> None:
    await page.goto(f"{gateway.url}/#decisions")
    await expect(page.get_by_role("tabpanel")).to_contain_text("No decisions yet: send a request")


async def test_a_users_key_sees_the_playground_alone(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, store: Store, decided: list[str], page: Page
) -> None:
    triton.store = store
    (user, one), (operator, other) = key_config("user"), key_config("operator", scopes=["admin", "chat"])
    gateway = await serve(upstream, triton=triton, security={"api_keys": [one, other]})
    await page.goto(f"{gateway.url}/#decisions")
    await expect(page.locator("#empty")).to_contain_text("needs a key of the scope admin")
    for headers, tabs in ((user, 1), (operator, PAGES)):
        await page.get_by_label("API key").first.fill(headers["authorization"].removeprefix("Bearer "))
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("tab")).to_have_count(tabs)
    await expect(page.get_by_role("tabpanel", name="Decisions").get_by_role("row")).to_have_count(51)


async def test_tabs_follow_the_keyboard(gateway: Running, page: Page) -> None:
    await page.goto(gateway.url)
    tabs = page.get_by_role("tab")
    await expect(tabs).to_have_count(PAGES)
    await tabs.first.focus()
    for key, at in (("ArrowRight", 1), ("ArrowLeft", 0), ("ArrowLeft", PAGES - 1), ("Home", 0), ("ArrowRight", 1)):
        await page.keyboard.press(key)
        await expect(tabs.nth(at)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("tab", selected=True)).to_have_text("Decisions")
    await expect(page.get_by_role("tabpanel", name="Decisions")).to_be_visible()


async def test_a_store_that_is_away_is_told_on_the_page(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, page: Page
) -> None:
    gateway = await serve(upstream, triton=triton)
    await page.goto(f"{gateway.url}/#decisions")
    await expect(page.get_by_role("alert")).to_contain_text("The state store can't be asked now")


@pytest.mark.parametrize("size", [{"width": 1280, "height": 860}, PHONE], ids=["desktop", "phone"])
async def test_the_page_is_accessible_and_fits(gateway: Running, decided: list[str], page: Page, size: Any) -> None:
    await page.set_viewport_size(size)
    for place, shown in SHOWN:
        await page.goto(f"{gateway.url}/#{place.format(id=decided[1])}")
        await expect(page.get_by_role("main")).to_contain_text(shown)
        await check_accessible(page)
        await check_fits(page)


PAGES = 6
SHOWN = [
    ("playground", "Ask anything"),
    ("decisions", "The latest decisions"),
    ("decisions/{id}", "The models it chose from"),
    ("models", "Health, speed and share"),
    ("learning", "Quality over time, by model"),
    ("spending", "By API key"),
    ("configuration", "secrets are left out"),
]
