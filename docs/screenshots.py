"""Makes the pictures of the playground and the console again, from a running system and a headless Chromium.

python docs/screenshots.py [--url http://127.0.0.1:8080]

Start `llm-router up` with an empty state folder before. The script asks what people ask, and scores the answers as a user might who finds
the more expensive models better at code and mathematics; so the pages have something to show.
"""

from __future__ import annotations

import argparse
import csv
import random
import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from llm_router_client import RouterClient

PROJECT = Path(__file__).resolve().parents[1]
IMAGES = PROJECT / "docs/images"
SIZE = {"width": 1280, "height": 800}
HARD = ("code_generation", "math", "extraction", "closed_qa")
"""Tasks that the played user finds hard for a small model."""
QUALITY = {"llama3-8b": (0.9, 0.35), "nemotron-49b": (0.92, 0.7), "llama3-70b": (0.95, 0.9)}
"""Of easy and of hard tasks."""


def fill(url: str, requests: int) -> None:
    """Requests and scores, as of a day."""
    draw = random.Random(0)
    with (PROJECT / "classifier_training/corpus/heldout_en.csv").open(encoding="utf-8", newline="") as file:
        prompts = list(csv.DictReader(file))
    with RouterClient(url, timeout=120) as client:
        for row in draw.sample(prompts, requests):
            answer = client.chat(row["text"], max_tokens=12)
            good = QUALITY[answer.decision.model][row["task"] in HARD]
            if draw.random() < 0.7:
                client.feedback(answer.decision.decision_id, float(draw.random() < good))


def playground(page: Page) -> None:
    page.get_by_role("tab", name="Playground").click()
    page.get_by_label("Prompt", exact=True).fill("Write a Python function that merges two sorted lists")
    page.get_by_text("System prompt and hints").click()
    page.get_by_label("Max tokens").fill("80")
    page.get_by_text("System prompt and hints").click()
    page.get_by_role("button", name="Send").click()
    page.get_by_role("button", name="Stop").wait_for(state="hidden")
    page.locator("#decision").wait_for()


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()
    page.get_by_role("tabpanel", name=name).locator("table").first.wait_for(state="attached")
    page.wait_for_load_state("networkidle")


def main(url: str, requests: int) -> None:
    fill(url, requests)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
        page.goto(url)

        def take(name: str) -> None:
            page.screenshot(path=IMAGES / f"{name}.png")

        playground(page)
        take("playground")
        for name in ("Models", "Decisions"):
            tab(page, name)
            take(f"console-{name.lower()}")
        page.get_by_role("tabpanel", name="Decisions").get_by_role("link").nth(3).click()
        page.get_by_role("tabpanel", name="Decisions").get_by_role("heading", level=2).wait_for()
        page.wait_for_load_state("networkidle")
        take("console-decision")
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the gateway")
    parser.add_argument("--requests", type=int, default=120, help="made before the pictures are taken")
    options = parser.parse_args()
    main(options.url, options.requests)
