"""The command lines that the chart gives Triton and the gateway, started for real, with the embedded server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.config import parse_config, runtime
from router_backend.config.models import TensorRTLLMUpstream
from router_backend.config.schema import RouterConfig
from router_backend.triton.server import embedded
from router_backend.triton.server.container import ADMIN_KEY, copied
from tests.support.helm import EXAMPLES, of_kind, rendered
from tests.support.redis_server import DURABLE, RedisServer
from tests.support.running import free_port

TOKENIZER = {
    "tokenizer.json": '{"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}',
    "tokenizer_config.json": '{"chat_template": "{{ messages[0].content }}"}',
}


@dataclass
class Rendered:
    """What an example gives its pods, with the addresses of this machine."""

    triton: list[str]
    gateway: list[str]
    environment: dict[str, str]
    config: RouterConfig


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rendered]:
    """An example as its pods find it: router.yaml, secrets, a Valkey, what the init container downloads."""
    objects = rendered(request.param)
    text: str = of_kind(objects, "ConfigMap", "-config")[0]["data"]["router.yaml"]
    environment = {ADMIN_KEY: "a-key-of-this-test", runtime.STATE_DIR: str(tmp_path / "state")}
    with ExitStack() as stack:
        if of_kind(objects, "StatefulSet", "-redis"):
            store = RedisServer(tmp_path / "redis", *DURABLE, "--requirepass", "secret").start("secret")
            stack.callback(store.kill)
            text = text.replace("redis://r-llm-router-redis:6379/0", store.url)
            environment["LLM_ROUTER_STATE_PASSWORD"] = "secret"
        config = parse_config(text)
        for model in config.models:
            if isinstance(model.upstream, TensorRTLLMUpstream):
                _download(model.upstream.tokenizer, tmp_path / "huggingface")
                environment["HF_HOME"] = str(tmp_path / "huggingface")
            elif name := getattr(model.upstream, "api_key_env", None):
                environment[name] = "unused"
        file = tmp_path / "router.yaml"
        file.write_text(text)
        arguments = {
            part: of_kind(objects, "Deployment", part)[0]["spec"]["template"]["spec"]["containers"][0]["args"]
            for part in ("gateway", "triton")
        }
        folder = f"--model-repository={MODEL_REPOSITORY}"
        triton = [folder if flag.startswith("--model-repository=") else flag for flag in arguments["triton"]]
        gateway = [f"--config={file}" if flag.startswith("--config=") else flag for flag in arguments["gateway"]]
        yield Rendered(triton, gateway, environment | {runtime.CONFIG: str(file)}, config)


def _download(name: str, home: Path) -> None:
    """The layout that `hf download` leaves."""
    folder = home / "hub" / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text("0" * 40)
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    for file, text in TOKENIZER.items():
        (folder / "snapshots" / ("0" * 40) / file).write_text(text)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem, indirect=True)
def test_the_rendered_command_line_serves_and_stops(example: Rendered, tmp_path: Path) -> None:
    server = tmp_path / "tritonserver"  # the container's has its backends and caches in place
    folders = (embedded.assemble_backends(tmp_path / "triton"), embedded.installation() / "caches")
    server.write_text(
        f'#!/bin/sh\nexec {embedded.installation() / "bin/tritonserver"} "$@"'
        f" --backend-directory={folders[0]} --cache-directory={folders[1]}\n"
    )
    server.chmod(0o755)
    ports = {name: free_port() for name in ("http", "grpc", "metrics")}
    command = [sys.executable, "-m", "router_backend.triton.server.container", *example.triton]
    command += [f"--{name}-port={port}" for name, port in ports.items()] + ["--host=127.0.0.1", f"--server={server}"]
    url = f"http://127.0.0.1:{ports['http']}"
    log = tmp_path / "triton.log"
    with _running(command, embedded.environment(example.environment), log) as process:
        _wait_until_ready(process, f"{url}/v2/health/ready", log)
        reply = httpx.post(f"{url}/v2/models/route/generate", json={"text_input": "Good morning"}, timeout=30)
        assert reply.json()["model"] in {model.name for model in example.config.models}
        assert (tmp_path / "state/state.db").is_file() is example.config.state.startswith("sqlite:")
        # The admin APIs are closed to everyone else.
        assert httpx.post(f"{url}/v2/repository/index").status_code == 403
        opened = httpx.post(f"{url}/v2/repository/index", headers={embedded.ADMIN_HEADER: "a-key-of-this-test"})
        assert opened.status_code == 200


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem, indirect=True)
def test_the_rendered_gateway_starts(example: Rendered, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "gateway.log"
    flags = [
        f"--port={port}",
        "--host=127.0.0.1",
        "--triton-url=127.0.0.1:9",
        f"--journal={tmp_path}",
    ]  # the last of a flag counts
    command = [sys.executable, "-m", "router_backend.gateway", *example.gateway, *flags]
    with _running(command, os.environ | example.environment, log) as process:
        _wait_until_ready(process, f"http://127.0.0.1:{port}/health/live", log)


@contextmanager
def _running(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends well when it is told to."""
    with log.open("w") as file:
        process = subprocess.Popen(command, env=dict(environment), stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    assert code == 0, log.read_text()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def test_a_gpu_classifier_changes_the_copy_alone(tmp_path: Path) -> None:
    source = MODEL_REPOSITORY / "classifier/config.pbtxt"
    before = source.read_text()
    copy = copied(MODEL_REPOSITORY, tmp_path / "models", 2, None)
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
