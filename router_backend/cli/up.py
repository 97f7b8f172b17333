"""`llm-router up`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from router_backend.cli.options import DEFAULT_CONFIG, DEFAULT_STATE_DIR, Config, StateDir
from router_backend.config import RouterConfig


def up(
    config: Config = DEFAULT_CONFIG,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    host: Annotated[str, typer.Option(envvar="LLM_ROUTER_HOST", help="Address of the gateway.")] = "127.0.0.1",
    triton_host: Annotated[str, typer.Option(envvar="LLM_ROUTER_TRITON_HOST", help="Address of Triton.")] = "127.0.0.1",
    http_port: Annotated[int, typer.Option(envvar="LLM_ROUTER_HTTP_PORT", help="Triton, HTTP.", max=65535)] = 8000,
    grpc_port: Annotated[int, typer.Option(envvar="LLM_ROUTER_GRPC_PORT", help="Triton, gRPC.", max=65535)] = 8001,
    metrics_port: Annotated[
        int, typer.Option(envvar="LLM_ROUTER_METRICS_PORT", help="Triton, metrics.", max=65535)
    ] = 8002,
    gateway_port: Annotated[int, typer.Option(envvar="LLM_ROUTER_GATEWAY_PORT", help="Gateway.", max=65535)] = 8080,
    local_port: Annotated[int, typer.Option(envvar="LLM_ROUTER_LOCAL_PORT", help="Local model.", max=65535)] = 0,
    model_repository: Annotated[
        Path | None,
        typer.Option(
            envvar="LLM_ROUTER_MODEL_REPOSITORY", help="Default: the packaged one, copied into the state folder."
        ),
    ] = None,
    allow_unauthenticated: Annotated[
        bool, typer.Option("--allow-unauthenticated", help="Serve addresses other than loopback without API keys.")
    ] = False,
) -> None:
    """Run the whole system on this machine, in the foreground: Triton, the local model, the gateway.

    Port 0 takes a free port. Ctrl-C or SIGTERM stops everything; SIGHUP reads router.yaml again.

    Example: llm-router up --config router.yaml --gateway-port 9000
    """
    from router_backend.classifier.repository import copied_repository
    from router_backend.launcher.settings import UpSettings, check
    from router_backend.launcher.up import run

    wanted = UpSettings(
        config=config,
        state_dir=state_dir,
        host=host,
        triton_host=triton_host,
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        gateway_port=gateway_port,
        local_port=local_port,
        model_repository=model_repository or copied_repository(state_dir),
        allow_unauthenticated=allow_unauthenticated,
    )
    notes = Console(highlight=False, soft_wrap=True, stderr=True)
    settings, parsed = check(wanted, lambda advice: notes.print(Text(f"note: {advice}", "yellow")))
    console = Console(highlight=False, soft_wrap=True)
    with console.status("starting Triton, the models and the gateway …") as status:

        def announce() -> None:
            status.stop()
            _print_table(console, settings, parsed)

        asyncio.run(run(settings, parsed, announce))


def _print_table(console: Console, settings: object, config: RouterConfig) -> None:
    from router_backend.launcher.settings import UpSettings
    from router_backend.launcher.up import endpoints

    assert isinstance(settings, UpSettings)
    table = Table(box=None, pad_edge=False)
    for title in ("", "address", "use"):
        table.add_column(title, overflow="fold")
    for endpoint in endpoints(settings, config):
        table.add_row(endpoint.name, endpoint.url, endpoint.use)
    console.print(table)
    console.print(f"state and logs: {settings.state_dir}")
    console.print("ready")
