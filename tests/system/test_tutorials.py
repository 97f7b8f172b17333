"""The commands of the quickstart and the tutorials, in their order and as written; only addresses are those of the test's system.

A block is left out where the line above it says why: `<!-- not run by the tests: … -->`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.running import PROJECT, RunningSystem

PAGES = [
    "quickstart.md",
    "tutorials/call-it.md",
    "tutorials/teach-it.md",
    pytest.param("tutorials/train-it.md", marks=pytest.mark.slow),
]
_BLOCK = re.compile(r"^(<!-- not run by the tests: .+ -->\n)?```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> list[tuple[str, str]]:
    found = _BLOCK.findall((PROJECT / "docs" / page).read_text(encoding="utf-8"))
    return [(language, text) for left_out, language, text in found if not left_out]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a reader stands in: the project's files, and room for new ones."""
    for name in ("model_repository", "classifier_training", "clients", "docs"):
        (tmp_path / name).symlink_to(PROJECT / name)
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_as_written(system: RunningSystem, clone: Path, page: str) -> None:
    ports = {"8080": system.gateway_port, "8000": system.http_port, "8001": system.grpc_port}
    environment = {
        **system.environment,
        "LLM_ROUTER_STATE_DIR": str(system.state_dir),
        "PYTHONPATH": f"{PROJECT}:{PROJECT / 'clients'}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    assert blocks(page)
    for language, text in blocks(page):
        here = re.sub(r"127\.0\.0\.1:(8080|8000|8001)", lambda found: f"127.0.0.1:{ports[found[1]]}", text)
        command = [sys.executable, "-c", here] if language == "python" else ["bash", "-euo", "pipefail", "-c", here]
        done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        if "gpt-99" not in text:
            assert '"error"' not in done.stdout


def test_every_block_that_is_left_out_says_why() -> None:
    for page in (PROJECT / "docs/tutorials").glob("*.md"):
        marks = re.findall(r"^<!--(.*?)-->\n(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert all(mark.startswith(" not run by the tests: ") and block.startswith("```") for mark, block in marks)
