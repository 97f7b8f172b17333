"""The examples, run as a reader would run them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.running import PROJECT, RunningSystem

EXAMPLES = PROJECT / "clients" / "examples"


def run(system: RunningSystem, command: list[str | Path], folder: Path = EXAMPLES) -> str:
    """Standard output of a command that succeeded."""
    environment = {
        **system.environment,
        "LLM_ROUTER_TRITON_HTTP": system.triton,
        "PYTHONPATH": str(PROJECT / "clients"),  # stands for `pip install ./clients`
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_openai_python(system: RunningSystem) -> None:
    answer, _, rest = run(system, [sys.executable, "openai_python.py"]).rpartition("\nmodel ")
    assert answer.strip()
    assert "\nreward " in rest


def test_triton_grpc(system: RunningSystem) -> None:
    answer, _, rest = run(system, [sys.executable, "triton_grpc.py"]).rpartition("\nmodel ")
    assert answer.strip()
    assert "\nreward " in rest


def test_router_client(system: RunningSystem) -> None:
    lines = run(system, [sys.executable, "router_client.py"])
    for said in ("complexity", "\nmodel ", "\nreward ", "\nerror 404 model_not_found", "\nover Triton: "):
        assert said in lines


def test_curl(system: RunningSystem) -> None:
    lines = run(system, ["./curl.sh"])
    for said in ('"router.decision"', "data: [DONE]", '"accepted":true', '"model_name":"route"', 'data: {"chunk"'):
        assert said in lines


@pytest.mark.slow
def test_openai_node(system: RunningSystem, tmp_path: Path) -> None:
    npm = shutil.which("npm")
    assert npm, "this test needs Node.js 20 or newer with npm (Debian: apt-get install nodejs npm)"
    folder = tmp_path / "openai_node"
    shutil.copytree(EXAMPLES / "openai_node", folder, ignore=shutil.ignore_patterns("node_modules"))
    run(system, [npm, "ci", "--no-audit", "--no-fund"], folder)
    lines = run(system, [npm, "start", "--silent"], folder)
    for said in ("\nmodel ", "\nreward ", "\nerror 404 model_not_found"):
        assert said in lines


@pytest.mark.slow
def test_langchain(system: RunningSystem, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    run(system, [sys.executable, "-m", "venv", tmp_path / "venv"])
    run(system, [python, "-m", "pip", "install", "--quiet", "-r", "langchain/requirements.txt"])
    lines = run(system, [python, "langchain/chain.py"])
    for said in ("\nmodel ", "decision ", "\ntokens "):
        assert said in lines


@pytest.mark.slow
def test_the_client_installs_on_its_own(system: RunningSystem, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    run(system, [sys.executable, "-m", "venv", tmp_path / "venv"])
    source = tmp_path / "clients"  # building writes into its source
    shutil.copytree(PROJECT / "clients", source, ignore=shutil.ignore_patterns("node_modules", "build", "*.egg-info"))
    run(system, [python, "-m", "pip", "install", "--quiet", f"{source}[grpc]"])
    assert "reward" in run(system, [python, "-P", EXAMPLES / "router_client.py"], tmp_path)
