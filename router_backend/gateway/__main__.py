"""`python -m router_backend.gateway`: one gateway. `llm-router up` starts it like this.

Where `gateway.workers` asks for several processes, this one becomes their parent.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from router_backend.config import ConfigError
from router_backend.config.runtime import runtime_config
from router_backend.config.safety import Exposure
from router_backend.core import seal
from router_backend.core.supervisor import StartFailed
from router_backend.gateway.server import log_to_stderr, run
from router_backend.gateway.service import GatewaySettings
from router_backend.gateway.workers.default import workers_of
from router_backend.gateway.workers.parent import Parent
from router_backend.gateway.workers.place import ALONE, Place


def main(
    config: Annotated[Path, typer.Option(help="router.yaml")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8080,
    triton_url: Annotated[
        str, typer.Option(help="Triton's HTTP as http://host:port or unix:PATH, or its gRPC as host:port.")
    ] = "http://127.0.0.1:8000",
    journal: Annotated[
        Path | None,
        typer.Option(help="Folder for outcomes that are not reported yet, so that they survive the process."),
    ] = None,
    allow_unauthenticated: Annotated[bool, typer.Option(help="Serve other machines without API keys.")] = False,
    worker: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Serve the OpenAI API in front of Triton's router."""
    log_to_stderr()
    try:
        place = Place.read(worker) if worker else ALONE
        wanted = runtime_config(config if place.alone else place.config)
        workers = workers_of(wanted.gateway, wanted.routing)
        if place.alone and workers > 1:
            asyncio.run(Parent(config, host, port, workers, sys.argv[1:]).run())
            return
        exposure = Exposure(host, allow_unauthenticated)
        key = os.environ.get(seal.KEY, "")
        run(GatewaySettings(wanted, triton_url, config, exposure, key, journal, place), port)
    except (ConfigError, ValueError, StartFailed) as error:
        typer.echo(f"gateway: {error}", err=True)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    typer.run(main)
