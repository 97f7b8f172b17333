"""The command line that the chart gives Triton's container, started for real with the embedded server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.config import runtime
from router_backend.triton.server import embedded
from router_backend.triton.server.container import ADMIN_KEY, with_gpu_classifier
from tests.support.helm import CHART, of_kind, rendered
from tests.support.running import free_port


def test_the_rendered_command_line_serves_and_stops(tmp_path: Path) -> None:
    objects = rendered(CHART / "examples/cpu-only.yaml")
    container = of_kind(objects, "Deployment", "triton")[0]["spec"]["template"]["spec"]["containers"][0]
    config = tmp_path / "router.yaml"
    config.write_text(of_kind(objects, "ConfigMap", "-config")[0]["data"]["router.yaml"])
    server = tmp_path / "tritonserver"  # the container's has its backends and caches in place
    folders = (embedded.assemble_backends(tmp_path / "triton"), embedded.installation() / "caches")
    server.write_text(
        f'#!/bin/sh\nexec {embedded.installation() / "bin/tritonserver"} "$@"'
        f" --backend-directory={folders[0]} --cache-directory={folders[1]}\n"
    )
    server.chmod(0o755)
    ports = {name: free_port() for name in ("http", "grpc", "metrics")}
    command = [sys.executable, "-m", "router_backend.triton.server.container", *container["args"]]
    command += [f"--{name}-port={port}" for name, port in ports.items()] + ["--host=127.0.0.1", f"--server={server}"]
    environment = embedded.environment(
        {
            runtime.CONFIG: str(config),
            runtime.STATE_DIR: str(tmp_path / "state"),
            ADMIN_KEY: "a-key-of-this-test",
            "LARGE_API_KEY": "unused",
        }
    )
    url = f"http://127.0.0.1:{ports['http']}"
    with (tmp_path / "triton.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _wait_until_ready(process, url, tmp_path / "triton.log")
        reply = httpx.post(f"{url}/v2/models/route/generate", json={"text_input": "Good morning"}, timeout=30)
        assert reply.json()["model"] in ("large", "small")
        assert (tmp_path / "state/state.db").is_file()
        # The admin APIs are closed to everyone else.
        assert httpx.post(f"{url}/v2/repository/index").status_code == 403
        opened = httpx.post(f"{url}/v2/repository/index", headers={embedded.ADMIN_HEADER: "a-key-of-this-test"})
        assert opened.status_code == 200
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    assert code == 0


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            if httpx.get(f"{url}/v2/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def test_a_gpu_classifier_changes_the_copy_alone(tmp_path: Path) -> None:
    source = MODEL_REPOSITORY / "classifier/config.pbtxt"
    before = source.read_text()
    copy = with_gpu_classifier(MODEL_REPOSITORY, tmp_path / "models", 2)
    text = (copy / "classifier/config.pbtxt").read_text()
    assert "instance_group [ { kind: KIND_GPU, count: 2 } ]" in text
    assert "KIND_CPU" not in text
    assert source.read_text() == before
    assert (copy / "router/1/model.py").is_file()


def test_without_a_key_the_admin_apis_get_a_random_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from router_backend.triton.server.container import settings

    monkeypatch.delenv(ADMIN_KEY, raising=False)
    keys = {settings(tmp_path, tmp_path, 1, 10, "0.0.0.0", (1, 2, 3)).admin_key for _ in range(2)}
    assert len(keys) == 2
    assert all(len(key) > 30 for key in keys)
    assert os.environ.get(ADMIN_KEY) is None
