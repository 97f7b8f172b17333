"""Dependencies are a contract (`[tool.importlinter]` in pyproject.toml): the check passes here and fails where one is broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT = Path(sys.executable).with_name("lint-imports")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the contracts are about, to break them in."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in ("router_backend", "classifier_training", "llm_router", "clients"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "node_modules")
        )
    return tmp_path


def lint(checkout: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(checkout), str(checkout / "clients")])
    return subprocess.run(
        [str(LINT), "--no-cache"],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_tree_keeps_its_contracts(checkout: Path) -> None:
    result = lint(checkout)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("router_backend/core/ids.py", "import router_backend.gateway.app", "Imports point downwards"),
        ("router_backend/routing/router.py", "import router_backend.learning.fold", "Imports point downwards"),
        ("router_backend/gateway/app.py", "import router_backend.triton.models.router", "Imports point downwards"),
        ("router_backend/state/store.py", "import router_backend.state.open", "No cycles"),
        ("router_backend/triton/models/router.py", "import router_backend.lab.replay.runner", "What serves is free"),
        ("router_backend/forwarding/engine.py", "import classifier_training.text", "What serves is free"),
        ("clients/llm_router_client/stream.py", "import router_backend.core.ids", "The client library stands alone"),
        ("llm_router/router.py", "import router_backend.gateway.app", "The library is a door"),
        ("classifier_training/text.py", "import router_backend.prompts", "Training and serving meet"),
    ],
)
def test_a_planted_import_breaks_its_contract(checkout: Path, file: str, line: str, broken: str) -> None:
    planted = checkout / file
    planted.write_text(planted.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")
    result = lint(checkout)
    assert result.returncode != 0, result.stdout
    verdicts = [text for text in result.stdout.splitlines() if " BROKEN" in text]
    assert any(text.startswith(broken) for text in verdicts), result.stdout
