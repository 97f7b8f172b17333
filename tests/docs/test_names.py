"""Every path, module and link that the documentation or a docstring names exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOP = "router_backend|classifier_training|model_repository|clients|docs|helm|deploy|tests"
# A file or a folder from the root of the project; `deploy/router-…` is how kubectl names a deployment.
PATH = re.compile(rf"(?<![\w./-])(?!deploy/router-)(?:{TOP})/[\w./*-]*[\w*/]")
# In code, paths may also be relative to the package or to the file.
SHORT = re.compile(r"`([\w-]+(?:/[\w.-]+)+\.(?:py|md|yaml|json|sh))`")
MODULE = re.compile(r"(?<![\w./-])(?:router_backend|classifier_training|llm_router_client|tests)(?:\.\w+)+")
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")
PAGES = [ROOT / name for name in subprocess.check_output(["git", "ls-files", "*.md"], cwd=ROOT, text=True).split()]
SOURCES = [ROOT / name for name in subprocess.check_output(["git", "ls-files", "*.py"], cwd=ROOT, text=True).split()]


def named_by_path(text: str) -> set[str]:
    return {name for name in PATH.findall(text) if not any(ROOT.glob(name.rstrip("/")))}


def named_short(text: str, page: Path) -> set[str]:
    places = (ROOT, ROOT / "router_backend", ROOT / "classifier_training", page.parent)
    return {name for name in SHORT.findall(text) if not any((place / name).exists() for place in places)}


def exists(module: str) -> bool:
    """Whether it is a module, or a name that a module's text has."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        base = ROOT.joinpath("clients" if parts[0] == "llm_router_client" else "", *parts[:length])
        if base.with_suffix(".py").is_file() or (base.is_dir() and length == len(parts)):
            return True
        file = base / "__init__.py"
        if file.is_file() and length < len(parts):
            return re.search(rf"\b{parts[length]}\b", file.read_text()) is not None
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = {link for link in LINK.findall(text) if not (page.parent / link).exists()}
    modules = {module for module in MODULE.findall(text) if not exists(module)}
    assert links | modules | named_by_path(text) | named_short(text, page) == set()


def test_what_code_names_exists() -> None:
    """Comments and docstrings; imports are checked by the interpreter."""
    missing = {}
    for source in SOURCES:
        text = source.read_text(encoding="utf-8")
        if found := named_by_path("\n".join(re.findall(r'#[^\n]*|"""(?:.|\n)*?"""', text))) | named_short(text, source):
            missing[str(source.relative_to(ROOT))] = sorted(found)
    assert missing == {}


def test_the_plan_of_folders_is_the_tree() -> None:
    """docs/design.md: what it lists exists, and it lists each room of the router."""
    plan = (ROOT / "docs/design.md").read_text(encoding="utf-8").partition("## The code")[2]
    listed, above = set(), [""]
    for indent, names in re.findall(r"^    ( *)((?:[\w.]+/?(?:, )?)+)  ", plan, re.MULTILINE):
        depth = len(indent) // 2
        for name in names.split(", "):
            above[depth + 1 :] = []
            listed.add(above[depth] + name)
            above.append(above[depth] + name)
    assert {name for name in listed if not (ROOT / name).exists()} == set()
    rooms = {f"router_backend/{file.parent.name}/" for file in (ROOT / "router_backend").glob("*/__init__.py")}
    assert rooms <= listed
