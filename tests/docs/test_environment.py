"""Every environment variable that the programs read is on its page, and no other."""

from __future__ import annotations

import re

from tests.docs.test_names import ROOT

_VARIABLE = re.compile(r"\bLLM_ROUTER_[A-Z_]+[A-Z]\b")


def test_the_page_has_each_variable() -> None:
    read = {
        name
        for package in ("router_backend", "classifier_training", "llm_router")
        for file in (ROOT / package).rglob("*.py")
        for name in _VARIABLE.findall(file.read_text(encoding="utf-8"))
    }
    assert set(_VARIABLE.findall((ROOT / "docs/environment.md").read_text(encoding="utf-8"))) == read
