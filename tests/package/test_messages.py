"""What a message says to install: the extras exist and hold what is missing, and the command is this environment's."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from router_backend import distribution
from router_backend.cli import main
from tests.support.running import PROJECT

PACKAGES = ("router_backend", "classifier_training", "llm_router", "clients/llm_router_client")
BY_MODULE = cache(importlib.metadata.packages_distributions)
OPTIONAL = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (PROJECT / package).rglob("*.py")


def texts(tree: ast.AST) -> Iterator[str]:
    """All strings but docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    said = {
        id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and ast.get_docstring(node)
    }  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def test_no_message_has_a_pip_of_its_own() -> None:
    # `pip` on a shell's path is often another environment's, and `.[extra]` is right in one folder alone.
    own = {PROJECT / "router_backend/distribution.py", PROJECT / "clients/llm_router_client/connect.py"}
    found = [
        f"{path.relative_to(PROJECT)}: {text}"
        for path in sources()
        if path not in own
        for text in texts(ast.parse(path.read_text()))
        if re.search(r"\bpip3? install|make setup", text)
    ]
    assert not found


def test_extras_that_messages_name_exist() -> None:
    named = {
        extra for path in sources() for extra in re.findall(r"distribution\.add\([\"'](\w+)[\"']\)", path.read_text())
    }
    assert named >= {"aws", "batches", "local", "otel", "train"}
    assert named <= OPTIONAL.keys()
    assert main._EXTRAS.keys() <= OPTIONAL.keys()


@pytest.mark.parametrize(
    ("extra", "module"),
    [
        ("aws", "botocore"),
        ("batches", "obstore"),
        ("local", "pytriton"),
        ("local", "xllamacpp"),
        ("otel", "opentelemetry.sdk"),
    ]
    + [("train", name) for name in (*main._EXTRAS["train"], "accelerate")]
    + [("archive", name) for name in main._EXTRAS["archive"]],
)
def test_the_extra_installs_what_is_missing(extra: str, module: str) -> None:
    names = {Requirement(text).name for text in OPTIONAL[extra]}
    assert names & set(BY_MODULE()[module.partition(".")[0]])


def test_the_command_is_of_this_interpreter_and_can_be_pasted() -> None:
    assert shlex.split(distribution.add("aws")) == [sys.executable, "-m", "pip", "install", "triton-llm-router[aws]"]
    assert shlex.split(distribution.add_packages("numpy<2"))[-1] == "numpy<2"


def test_a_path_with_blanks_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/my python/bin/python")
    assert shlex.split(distribution.add("aws"))[0] == "/opt/my python/bin/python"


def test_a_source_tree_that_is_not_installed_is_named_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "NAME", "is-not-installed")
    assert shlex.split(distribution.add("aws"))[-2:] == ["-e", f"{PROJECT}[aws]"]


def test_without_pip_the_words_say_what_and_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert distribution.add("aws") == f"add 'triton-llm-router[aws]' to the environment in {sys.prefix}"
