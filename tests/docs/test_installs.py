"""Commands that add an optional part leave a clone in its place: without `-e` pip puts a copy there, which no later pull changes."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.docs.test_names import ROOT

PAGES = [
    page
    for pattern in ("*.md", "docs/**/*.md", "helm/**/*", "deploy/**/*", "clients/**/*.md", "docker-compose.yml")
    for page in sorted(ROOT.glob(pattern))
    if page.is_file() and page.suffix in (".md", ".yaml", ".yml", ".txt", ".tf", ".tpl") and page.name != "CHANGELOG.md"
]
EXTRA = re.compile(r"pip install (?P<words>(?:-\S+ )*)['\"](?P<what>\.|triton-llm-router)\[(?P<extras>[^\]]*)\]")
WHOLE = ("README.md", "local")
"""Installs the router itself, from a checkout that isn't needed any more."""


def test_extras_are_added_to_what_is_installed() -> None:
    known = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    found = [(str(page.relative_to(ROOT)), match) for page in PAGES for match in EXTRA.finditer(page.read_text())]
    assert len(found) > 5
    for page, match in found:
        assert set(match["extras"].split(",")) <= known, f"{page}: {match[0]}"
        if match["what"] == "." and "-e " not in match["words"]:
            assert (page, match["extras"]) == WHOLE, f"{page}: {match[0]}: say -e, or the distribution's name"


@pytest.mark.parametrize(("command", "found"), [("pip install '.[aws]'", ""), ("pip install -e '.[aws]'", "-e ")])
def test_both_ways_are_seen(command: str, found: str) -> None:
    match = EXTRA.search(command)
    assert match
    assert match["words"] == found
