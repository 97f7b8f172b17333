"""Command line and environment of the embedded server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from router_backend.triton.server import embedded
from router_backend.triton.server.embedded import ADMIN_HEADER, EmbeddedTritonMissing, TritonSettings


@pytest.fixture
def settings(tmp_path: Path) -> TritonSettings:
    return TritonSettings(
        host="127.0.0.1",
        http_port=1,
        grpc_port=2,
        metrics_port=3,
        model_repository=tmp_path / "models",
        work_dir=tmp_path / "work",
        admin_key="secret",
        cache_bytes=4,
    )


@pytest.mark.parametrize("api", ["model-repository", "shared-memory", "logging", "trace"])
def test_whatever_changes_the_server_or_reads_its_memory_needs_the_key(settings: TritonSettings, api: str) -> None:
    restricted = [line for line in embedded.arguments(settings) if "restricted" in line]
    assert len(restricted) == 2  # HTTP and gRPC
    for line in restricted:
        apis, _, key = line.partition("=")[2].partition(":")
        assert api in apis.split(",")
        assert key == f"{ADMIN_HEADER}=secret"


def test_the_server_listens_on_its_own_address_alone(settings: TritonSettings) -> None:
    given = embedded.arguments(settings)
    for part, port in (("http", 1), ("grpc", 2), ("metrics", 3)):
        assert f"--{part}-address=127.0.0.1" in given
        assert f"--{part}-port={port}" in given


def test_the_backends_hold_this_pythons_stub_and_no_link_out_of_the_folder(settings: TritonSettings) -> None:
    folder = embedded.assemble_backends(settings.work_dir)
    embedded.assemble_backends(settings.work_dir)  # again, as at the next start
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert {"python/triton_python_backend_stub", "onnxruntime/model.py"} <= files
    assert not [file for file in folder.rglob("*") if file.is_symlink()]
    assert os.access(folder / "python/triton_python_backend_stub", os.X_OK)


def test_regions_of_other_installations_stay(settings: TritonSettings, tmp_path: Path) -> None:
    mine, other = (embedded.shared_memory_prefix(folder) for folder in (settings.work_dir, tmp_path / "other"))
    files = [Path("/dev/shm") / f"{prefix}python_test" for prefix in (mine, other)]
    try:
        for file in files:
            file.touch()
        embedded.free_shared_memory(settings)
        assert [file.exists() for file in files] == [False, True]
    finally:
        files[1].unlink()


def test_models_import_these_packages(tmp_path: Path) -> None:
    environment = embedded.python_environment({"LLM_ROUTER_STATE_DIR": "here"})
    code = "import router_backend, os; print(router_backend.__file__, os.environ['LLM_ROUTER_STATE_DIR'])"
    shown = subprocess.check_output([sys.executable, "-c", code], env=environment, cwd=tmp_path, text=True)
    assert shown.split() == [str(Path(embedded.__file__).parents[2] / "__init__.py"), "here"]


def test_other_users_see_no_key_in_the_command_line() -> None:
    key = "k" * 43
    code = "import signal; print('ready', flush=True); signal.pause()"
    process = subprocess.Popen([sys.executable, "-c", code, f"header={key}", "after"], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"  # before that its memory may not be in place yet
        embedded.hide_key(process.pid, key)
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        assert b"header=" + b"*" * len(key) in shown
        assert b"after" in shown
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def test_a_missing_server_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EmbeddedTritonMissing, match=r"llm-router\[local\]"):
        embedded.installation()
