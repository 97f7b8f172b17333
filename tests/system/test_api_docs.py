"""Every command of docs/api.md, as written; only the addresses are those of the test's system."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from router_backend.config.runtime import LOCAL_PROFILE
from tests.support.running import PROJECT, RunningSystem

BLOCKS = [
    (language, text)
    for language, text in re.findall(r"^```(sh|python)\n(.*?)^```$", (PROJECT / "docs/api.md").read_text(), re.S | re.M)
    if "pip install" not in text  # tests/system/test_examples.py installs the client
]


@pytest.mark.parametrize(("language", "text"), BLOCKS, ids=[text.partition("\n")[0][:60] for _, text in BLOCKS])
def test_a_block_runs_as_written(system: RunningSystem, tmp_path: Path, language: str, text: str) -> None:
    ports = {"8080": system.gateway_port, "8000": system.http_port, "8001": system.grpc_port}
    here = re.sub(r"127\.0\.0\.1:(8080|8000|8001)", lambda found: f"127.0.0.1:{ports[found[1]]}", text)
    command = [sys.executable, "-c", here] if language == "python" else ["sh", "-ec", here.replace("curl ", "curl -S ")]
    environment = {
        **system.environment,
        "PYTHONPATH": str(PROJECT / "clients"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    folder = PROJECT
    if "--config router.yaml" in text:  # which the reader has
        folder = tmp_path
        shutil.copy(LOCAL_PROFILE, folder / "router.yaml")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()
    if "keys new" not in text:  # which says there what to do with the key
        assert done.stderr == ""
    if "gpt-99" not in text:
        assert '"error"' not in done.stdout
