"""The page of settings is the schema's."""

from __future__ import annotations

from pathlib import Path

from router_backend.config.reference import render


def test_the_page_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "configuration.md"
    assert page.read_text() == render(), "run `make docs`"
