"""What `make up` installs is enough to run it: commands that serve need none of the extras' packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from router_backend.state.open import open_store
from tests.state.examples import make_decision, make_feedback, make_outcome
from tests.support.configs import local_config
from tests.support.running import clean_environment

EXTRAS = "torch transformers sklearn onnx pandas pyarrow scipy matplotlib duckdb opentelemetry.sdk obstore botocore openai anthropic"


@pytest.mark.parametrize(
    "command",
    [
        "state export copy.jsonl.gz",
        "state export decisions.jsonl --decisions",
        "state show",
        "state rebuild",
        "state judge",
        "decisions",
        "report --since 10000w",
        "keys list",
        "estimate",
    ],
)
def test_a_command_that_serves_needs_no_extra(tmp_path: Path, command: str) -> None:
    store = open_store("sqlite:///state.db", tmp_path)
    decision = make_decision(1, model="llama3-8b")
    store.append([decision], [make_outcome(decision)])
    store.add_feedback(make_feedback(decision))
    store.close()
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({EXTRAS.split()!r}))\n"  # as if they were not installed
        "from router_backend.cli.main import run\n"
        "run()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command.split()],
        cwd=tmp_path,
        env={
            **clean_environment(),
            "LLM_ROUTER_STATE_DIR": str(tmp_path),
            "LLM_ROUTER_CONFIG": str(local_config(tmp_path)),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
