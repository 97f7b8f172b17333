"""What the command line says where it can't run a command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.running import llm_router

_WITHOUT = """
import sys
sys.modules["router_backend.lab"] = None
from router_backend.cli.main import run
run()
"""


@pytest.mark.parametrize("command", ["replay", "bootstrap", "simulate", "evaluate-policy", "bench"])
def test_without_the_laboratory_its_commands_say_so_in_one_line(command: str, tmp_path: Path) -> None:
    """The images that serve leave it out."""
    data = tmp_path / "answers.csv"
    data.write_text("prompt,task,a__score,a__cost\n")
    arguments = [command] if command == "bench" else [command, str(data)]
    done = subprocess.run([sys.executable, "-c", _WITHOUT, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "router_backend.lab is not installed here" in line


def test_a_missing_extra_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    without = _WITHOUT.replace("router_backend.lab", "torch")
    done = subprocess.run(
        [sys.executable, "-c", without, "train", "--out", "x"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1
    assert f"{sys.executable} -m pip install 'triton-llm-router[train]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_needs_no_laboratory(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT, "--help"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "replay" in done.stdout


@pytest.mark.parametrize("arguments", [["-h"], ["route", "-h"], ["--version"]])
def test_the_usual_short_questions_are_answered(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "router_backend.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.match(r"llm-router \d+\.\d+" if "--version" in arguments else r"\s+Usage:", done.stdout)


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*llm_router(), *arguments], capture_output=True, text=True, env={**os.environ, **environment}
    )


def test_a_mistyped_command_is_answered_with_the_one_that_was_meant() -> None:
    done = _run("staet")
    assert done.returncode == 2
    assert "Did you mean state" in done.stderr


def test_the_shell_completes_commands() -> None:
    done = _run(_LLM_ROUTER_COMPLETE="complete_bash", COMP_WORDS="llm-router st", COMP_CWORD="1")
    assert done.stdout.split() == ["state"]


def test_the_help_says_what_the_exit_codes_mean() -> None:
    assert "Exit codes: 0 done, 1 failed" in " ".join(_run("-h").stdout.split())
