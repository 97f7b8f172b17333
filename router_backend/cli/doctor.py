"""`doctor`: what this machine has, what is missing, and what to do about it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from router_backend.cli.options import DEFAULT_CONFIG, DEFAULT_STATE_DIR, Config, StateDir


def doctor(
    config: Config = DEFAULT_CONFIG,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    model_repository: Annotated[Path | None, typer.Option(help="Default: the project's.")] = None,
    http_port: Annotated[int, typer.Option(envvar="LLM_ROUTER_HTTP_PORT")] = 8000,
    grpc_port: Annotated[int, typer.Option(envvar="LLM_ROUTER_GRPC_PORT")] = 8001,
    metrics_port: Annotated[int, typer.Option(envvar="LLM_ROUTER_METRICS_PORT")] = 8002,
    gateway_port: Annotated[int, typer.Option(envvar="LLM_ROUTER_GATEWAY_PORT")] = 8080,
) -> None:
    """Check the parts, artifacts, ports and configuration that `llm-router up` needs.

    Example: llm-router doctor --config router.yaml
    """
    from router_backend.classifier.repository import served_repository

    ports = {
        "--http-port": http_port,
        "--grpc-port": grpc_port,
        "--metrics-port": metrics_port,
        "--gateway-port": gateway_port,
    }
    console, failed = Console(highlight=False, soft_wrap=True), 0
    for name, check in _checks(config, state_dir, model_repository or served_repository(state_dir), ports):
        try:
            console.print(f"[green]ok[/green]    {name}: {check()}")
        except Exception as error:
            failed += 1
            console.print(f"[red]wrong[/red] {name}: {error}")
    if failed:
        raise RuntimeError(f"{failed} of the checks failed")


def _checks(
    config: Path, state_dir: Path, repository: Path, ports: dict[str, int]
) -> Iterator[tuple[str, Callable[[], str]]]:
    from router_backend.launcher.ports import claim

    yield "python", _python
    yield "triton", _triton
    yield "configuration", lambda: _configuration(config)
    yield "classifier", lambda: _classifier(repository)
    yield "state", lambda: _state(config, state_dir)
    yield "local model", lambda: _local_model(config)
    for flag, port in ports.items():
        yield flag.removeprefix("--"), lambda port=port, flag=flag: f"{claim('127.0.0.1', port, flag)} is free"  # type: ignore[misc]


def _python() -> str:
    import numpy

    if not (3, 11) <= sys.version_info[:2] <= (3, 12):
        raise RuntimeError(f"Python {sys.version.split()[0]}; use 3.11 or 3.12")
    if int(numpy.__version__.split(".")[0]) >= 2:
        raise RuntimeError(f"numpy {numpy.__version__} crashes the embedded Triton; pip install 'numpy<2'")
    return f"{sys.version.split()[0]}, numpy {numpy.__version__}"


def _triton() -> str:
    from router_backend.triton.server.embedded import installation

    installation()
    return "the embedded tritonserver 2.51.0 (24.10)"


def _configuration(config: Path) -> str:
    from router_backend.config import load_config

    return f"{config}: {', '.join(load_config(config).names)}"


def _classifier(repository: Path) -> str:
    from router_backend.classifier.artifact import artifact_metadata, newest_artifact

    folder = newest_artifact(repository / "classifier")
    metadata = artifact_metadata(folder)
    return f"version {folder.name}, {metadata.precision}, embedding space {metadata.embedding_space}"


def _state(config: Path, state_dir: Path) -> str:
    from router_backend.config import load_config
    from router_backend.state.open import open_store

    state_dir.mkdir(parents=True, exist_ok=True)
    url = load_config(config).state
    store = open_store(url, state_dir)
    counts = store.counts()
    store.close()
    return f"{url.partition('@')[2] or url}, {sum(c['decisions'] for c in counts.values())} decisions"


def _local_model(config: Path) -> str:
    from router_backend.config import load_config
    from router_backend.launcher.local_model import weights

    if all(model.upstream.kind != "local" for model in load_config(config).models):
        return "not used by this configuration"
    return weights().name
