"""The entry point of NVIDIA's container: what it becomes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from router_backend.config import runtime
from router_backend.triton.server import container
from tests.support.configs import local_config


@pytest.fixture
def become(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command; (program, arguments, environment) of the process that it would become."""
    monkeypatch.setenv(runtime.CONFIG, str(local_config(tmp_path, routing={"classifier_cache_bytes": 12_345_678})))
    called: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execvpe", lambda *call: called.append(call))

    def run(*arguments: str) -> tuple[str, list[str], dict[str, str]]:
        done = CliRunner().invoke(container.app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return called[-1]

    return run


def test_the_process_becomes_the_server(become: Any) -> None:
    program, arguments, environment = become("--server", "server", "--http-port", "81")
    assert program == arguments[0] == "server"
    assert "--http-port=81" in arguments
    assert "--grpc-port=8001" in arguments
    assert environment["OMP_NUM_THREADS"] == "1"  # each model is a process of its own


def test_flags_of_triton_itself_pass(become: Any) -> None:
    """What a newer Triton has, and the embedded one doesn't, needs no line of ours."""
    arguments = become("--http-port", "81", "--allow-client-shm=true", "--log-verbose=1")[1]
    assert "--http-port=81" in arguments
    assert arguments[-2:] == ["--allow-client-shm=true", "--log-verbose=1"]
    assert not any("client-shm" in argument for argument in become()[1])  # off, as Triton has it since 26.04


def test_the_cache_has_the_configured_size_unless_told_otherwise(become: Any) -> None:
    assert "--cache-config=local,size=12345678" in become()[1]
    assert "--cache-config=local,size=7" in become("--cache-bytes", "7")[1]


def test_the_admin_key_is_the_environments(become: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(container.ADMIN_KEY, "from-a-secret")
    assert any(argument.endswith("=from-a-secret") for argument in become()[1])


def test_a_classifier_that_no_gpu_line_fits_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "models/classifier/config.pbtxt"
    config.parent.mkdir(parents=True)
    config.write_text('backend: "onnxruntime"\n')
    with pytest.raises(ValueError, match="write `instance_group"):
        container.copied(tmp_path / "models", tmp_path / "copy", 1, None)


@pytest.mark.parametrize(("cores", "served"), [(2.0, False), (8.0, True)])
def test_instances_follow_the_cores(
    become: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cores: float, served: bool
) -> None:
    monkeypatch.setattr(container, "usable_cores", lambda: cores)
    arguments = become("--work-dir", str(tmp_path))[1]
    assert (f"--model-repository={tmp_path / 'models'}" in arguments) == served
    if served:
        assert "count: 4" in (tmp_path / "models/classifier/config.pbtxt").read_text()
    own = become("--work-dir", str(tmp_path), "--model-repository", str(tmp_path / "own"))[1]
    assert f"--model-repository={tmp_path / 'own'}" in own


@pytest.mark.parametrize(("gpus", "told"), [("1", "0"), ("0", "cores")])
def test_where_a_gpu_classifies_the_router_leaves_it_to_it(
    become: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gpus: str, told: str
) -> None:
    monkeypatch.setattr(container, "usable_cores", lambda: 8.0)
    become("--work-dir", str(tmp_path), "--classifier-gpu-instances", gpus)
    config = (tmp_path / "models/router/config.pbtxt").read_text()
    assert f'key: "classifier_threads", value: {{ string_value: "{told}" }}' in config
