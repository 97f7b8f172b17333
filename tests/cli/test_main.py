"""What the command line says where it can't run a command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert "pip install '.[train]'" in done.stderr
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
