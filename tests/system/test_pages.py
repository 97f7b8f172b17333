"""Every command of every page, in its order and as written; only addresses are those of the test's system.

A block is left out where the line above it says which test runs the same, or what it needs (tests/docs/test_blocks.py).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from llm_router import Router
from router_backend.config.runtime import CONFIG, LOCAL_PROFILE, STATE_DIR
from router_backend.state.open import open_store
from tests.docs.blocks import Block, blocks, executed
from tests.state.examples import make_feedback, make_outcome
from tests.support.running import PROJECT, RunningSystem

BLOCKS = executed()
LONG = ("docs/classifier.md", "docs/data.md", "docs/replay.md", "docs/tutorials/train-it.md")
"""Pages that train, evaluate or replay: minutes each."""
OWN_STATE = ("docs/archive.md", "docs/state.md")
"""Pages that remove what was learned, or move it to an archive."""
GIVEN = {"docs/replay.md": "docs/data.md"}
"""Pages that go on with a file that another page's programs write."""
MEANT = ("gpt-99",)
"""What the page asks for although it is refused."""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a reader stands in: the project's files, an environment, a configuration, and room for new files."""
    for name in ("model_repository", "classifier_training", "clients", "docs"):
        (tmp_path / name).symlink_to(PROJECT / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    shutil.copy(LOCAL_PROFILE, tmp_path / "router.yaml")
    return tmp_path


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.slow) if page in LONG else page for page in BLOCKS if page not in OWN_STATE],
)
def test_a_page_runs_as_written(system: RunningSystem, clone: Path, page: str) -> None:
    free = {f"LLM_ROUTER_{name}_PORT": "0" for name in ("HTTP", "GRPC", "METRICS", "GATEWAY")}
    environment = {**system.environment, **free, STATE_DIR: str(system.state_dir)}
    before = [block for name in filter(None, [GIVEN.get(page)]) for block in BLOCKS[name] if block.language == "python"]
    for block in [*before, *BLOCKS[page]]:
        run(
            block, clone, environment, {"8080": system.gateway_port, "8000": system.http_port, "8001": system.grpc_port}
        )


@pytest.mark.parametrize("page", OWN_STATE)
def test_a_page_about_the_state_runs_as_written(clone: Path, page: str) -> None:
    """On decisions that were answered and scored."""
    config = clone / "router.yaml"
    config.write_text(f"{config.read_text()}\narchive: archive\n")
    with Router.from_config(config, clone / "state") as router:
        made = [router.decide(f"What is {number} times 7?").decision_id for number in range(120)]
    store = open_store("sqlite:///state.db", clone / "state")
    decisions = [decision for identity in made if (decision := store.decision(identity))]
    store.append([], [make_outcome(decision) for decision in decisions])
    for number, decision in enumerate(decisions):
        store.add_feedback(make_feedback(decision, number % 3 / 2, task="math"))
    store.close()
    environment = {**os.environ, STATE_DIR: str(clone / "state"), CONFIG: str(config)}
    for block in BLOCKS[page]:
        run(block, clone, environment, {})


def run(block: Block, folder: Path, environment: Mapping[str, str], ports: Mapping[str, int]) -> None:
    here = re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{ports.get(found[1], found[1])}", block.text)
    here = here.replace("curl ", "curl -S ")
    command = [sys.executable, "-c", here] if block.language == "python" else ["bash", "-euo", "pipefail", "-c", here]
    found = {
        "PYTHONPATH": f"{PROJECT}:{PROJECT / 'clients'}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        command, cwd=folder, env={**environment, **found}, input="y\n", capture_output=True, text=True, timeout=600
    )
    told = f"{block}\n{here}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, told
    assert "Traceback" not in done.stderr, told
    if not any(word in here for word in MEANT):
        assert '"error"' not in done.stdout, told


def test_a_command_that_fails_is_found(tmp_path: Path) -> None:
    for text in ("llm-router report --since soon | cat", "llm-router chat Hi --url http://127.0.0.1:9; true"):
        (block,) = blocks(f"```sh\n{text}\n```\n")
        with pytest.raises(AssertionError, match=r"--since|llm-router up"):
            run(block, tmp_path, os.environ, {})
