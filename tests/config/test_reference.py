"""The page of settings is the schema's, and tells all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from router_backend.config import parse_config
from router_backend.config.base import Section
from router_backend.config.reference import render, sections
from router_backend.config.schema import RouterConfig


def test_the_page_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "configuration.md"
    assert page.read_text() == render(), "run `make docs`"


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.__name__)
def test_a_section_has_an_example_and_each_setting_a_meaning(section: type[Section]) -> None:
    section.model_validate(yaml.safe_load(section.example))
    assert [name for name, info in section.model_fields.items() if not info.description] == []


def test_the_example_of_the_file_is_one() -> None:
    assert parse_config(RouterConfig.example).names == ("llama3-8b", "llama3-70b")
