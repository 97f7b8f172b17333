"""A real Triton whose models have TensorRT-LLM's tensors and generate with the real local language model."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from router_backend.forwarding.engine import Engine, build_engine
from router_backend.launcher.local_model import weights
from router_backend.triton.server.embedded import TritonSettings, command, environment
from tests.support.arms import router_config
from tests.support.gguf_tokenizer import write_tokenizer
from tests.support.running import clean_environment, free_port

# Triton 2.51 counts an ensemble whose decoupled step failed as running for ever, and waits for it at its exit.
_QUICK_EXIT = ["--exit-timeout-secs=1"]


@dataclass(frozen=True, slots=True)
class TensorRTLLM:
    """Where it listens, the tokenizer's folder, and what became of each generation."""

    url: str
    tokenizer: Path
    journal: Path

    def model(self, name: str, served: str, **fields: Any) -> dict[str, Any]:
        """A model section of router.yaml."""
        upstream = {"kind": "tensorrtllm", "url": self.url, "model": served, "tokenizer": str(self.tokenizer)}
        return {"name": name, "upstream": upstream, "price": {"input": 1, "output": 2}, "context_window": 512, **fields}


@pytest.fixture(scope="session")
def trtllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TensorRTLLM]:
    folder = tmp_path_factory.mktemp("trtllm")
    model_port, http_port, grpc_port, metrics_port = (free_port() for _ in range(4))
    settings = TritonSettings(
        host="127.0.0.1",
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        model_repository=_repository(folder / "models"),
        work_dir=folder,
        admin_key="test-admin",
        cache_bytes=1024 * 1024,
    )
    journal = folder / "journal"
    journal.touch()
    variables = {"TEST_LOCAL_MODEL_PORT": str(model_port), "TEST_JOURNAL": str(journal)}
    local = [sys.executable, "-m", "router_backend.launcher.local_model", "--port", str(model_port)]
    processes = []
    with (folder / "log").open("w") as log:
        try:
            processes.append(subprocess.Popen(local, env=dict(clean_environment()), stdout=log, stderr=log))
            processes.append(
                subprocess.Popen(
                    [*command(settings), *_QUICK_EXIT], env=environment(variables), stdout=log, stderr=subprocess.STDOUT
                )
            )
            _wait(f"http://127.0.0.1:{model_port}/health", processes, folder / "log")
            _wait(f"http://127.0.0.1:{http_port}/v2/health/ready", processes, folder / "log")
            yield TensorRTLLM(f"127.0.0.1:{grpc_port}", write_tokenizer(weights(), folder / "tokenizer"), journal)
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait(30)


@pytest.fixture
async def engine_of(trtllm: TensorRTLLM) -> AsyncIterator[Callable[..., Engine]]:
    """Builds engines with one arm per served model's name; keyword arguments are sections of router.yaml."""
    engines: list[Engine] = []

    def build(*served: str, **fields: Any) -> Engine:
        models = [trtllm.model(name, name) for name in served]
        engines.append(build_engine(router_config(models, **fields)))
        return engines[-1]

    yield build
    for engine in engines:
        await engine.aclose()


def _repository(folder: Path) -> Path:
    """The models, and `accumulating`: tensorrt_llm_bls with accumulate_tokens, which repeats the text so far."""
    shutil.copytree(Path(__file__).parent / "repository", folder)
    shutil.copytree(folder / "tensorrt_llm_bls", folder / "accumulating")
    with (folder / "accumulating/config.pbtxt").open("a") as config:
        config.write('parameters { key: "accumulate_tokens" value { string_value: "true" } }\n')
    return folder


def _wait(url: str, processes: list[subprocess.Popen[bytes]], log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer:\n{log.read_text()}")
