"""`doctor`: what this machine has, what is missing, and what to do about it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from router_backend.cli.options import DEFAULT_CONFIG, DEFAULT_STATE_DIR, Config, StateDir

if TYPE_CHECKING:
    from router_backend.launcher.preflight import Finding


def doctor(
    config: Config = DEFAULT_CONFIG,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    model_repository: Annotated[Path | None, typer.Option(help="Default: the project's.")] = None,
    http_port: Annotated[int, typer.Option(envvar="LLM_ROUTER_HTTP_PORT")] = 8000,
    grpc_port: Annotated[int, typer.Option(envvar="LLM_ROUTER_GRPC_PORT")] = 8001,
    metrics_port: Annotated[int, typer.Option(envvar="LLM_ROUTER_METRICS_PORT")] = 8002,
    gateway_port: Annotated[int, typer.Option(envvar="LLM_ROUTER_GATEWAY_PORT")] = 8080,
    ask: Annotated[
        bool, typer.Option(help="Ask each upstream for its models, and AWS for what Bedrock's batches need.")
    ] = True,
) -> None:
    """Check everything that `llm-router up` needs, and whether the upstreams answer. Nothing is started or changed.

    Example: llm-router doctor --config router.yaml
    """
    from router_backend.classifier.repository import served_repository
    from router_backend.launcher.preflight import findings

    ports = {
        "--http-port": http_port,
        "--grpc-port": grpc_port,
        "--metrics-port": metrics_port,
        "--gateway-port": gateway_port,
    }
    console = Console(highlight=False, soft_wrap=True)
    wrong: list[str] = []

    def show(finding: Finding) -> None:
        if finding.error:
            wrong.append(finding.name)
        mark, color = ("wrong", "red") if finding.error else ("note", "yellow") if finding.advice else ("ok", "green")
        console.print(
            Text(f"{mark:6}", color) + Text(f"{finding.name}: {finding.error or finding.advice or finding.found}")
        )

    for finding in findings(config, state_dir, model_repository or served_repository(state_dir)):
        show(finding)
    for finding in _ports(ports):
        show(finding)
    if ask:
        for finding in _upstreams(config):
            show(finding)
        for finding in _batches(config, wrong):
            show(finding)
    if wrong:
        raise RuntimeError(f"{len(wrong)} of the checks failed")


def _ports(ports: dict[str, int]) -> Iterator[Finding]:
    from router_backend.launcher.ports import PortTaken, claim
    from router_backend.launcher.preflight import Finding

    for flag, port in ports.items():
        name = flag.removeprefix("--")
        try:
            yield Finding(name, f"{claim('127.0.0.1', port, flag)} is free")
        except PortTaken as error:
            yield Finding(name, error=error)


def _upstreams(config: Path) -> Iterator[Finding]:
    """Each server is asked once; a model that it doesn't list is wrong, as its first request would be."""
    from router_backend.cli.probe import models_of, servers_of
    from router_backend.config import load_config
    from router_backend.launcher.preflight import Finding

    try:
        servers = servers_of(load_config(config))
    except ValueError:
        return  # said already
    for server, names in servers.items():
        try:
            listed = {found.id for found in models_of(server)}
        except RuntimeError as error:
            yield Finding("upstream", error=error)
            continue
        if missing := sorted(names - listed):
            lacking = f"{server.base_url} has no model {', '.join(missing)}; it has {_few(sorted(listed))}"
            yield Finding("upstream", error=LookupError(lacking))
        else:
            yield Finding("upstream", f"{server.base_url} answers, with {_few(sorted(names))}")


def _batches(config: Path, wrong: Collection[str]) -> Iterator[Finding]:
    """What Bedrock's batch inference needs of each model that isn't `wrong` by itself, such as one without credentials."""
    from router_backend.config import load_config
    from router_backend.config.models import BedrockUpstream
    from router_backend.forwarding.upstreams.batches.api import BatchAPIError
    from router_backend.forwarding.upstreams.batches.bedrock import BedrockBatches
    from router_backend.launcher.preflight import Finding

    try:
        parsed = load_config(config)
    except ValueError:
        return  # said already
    for model in parsed.models:
        upstream, batch = model.upstream, model.batch
        if not isinstance(upstream, BedrockUpstream) or batch is None or f"model {model.name}" in wrong:
            continue
        name = f"batches of {model.name}"
        try:
            asyncio.run(BedrockBatches(model.name, upstream, batch, parsed.timeouts.connect).look())
            yield Finding(
                name, f"files in {batch.place} and Bedrock's jobs can be listed; writing shows with the first batch"
            )
        except BatchAPIError as error:
            needs = "s3:ListBucket there, and bedrock:ListModelInvocationJobs (docs/batches.md)"
            yield Finding(name, error=RuntimeError(f"{error}; the router needs the bucket of {batch.place}, {needs}"))


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown or "none"
