"""`llm-router gateway`: the gateway alone, in front of a Triton that runs elsewhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from router_backend.cli.options import DEFAULT_CONFIG, DEFAULT_TRITON, Config, TritonUrl


def gateway(
    config: Config = DEFAULT_CONFIG,
    triton: TritonUrl = DEFAULT_TRITON,
    host: Annotated[str, typer.Option(envvar="LLM_ROUTER_HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="LLM_ROUTER_GATEWAY_PORT", help="Port to listen on.", max=65535)] = 8080,
    journal: Annotated[
        Path | None,
        typer.Option(help="Folder for outcomes that Triton hasn't stored yet, so that they survive the process."),
    ] = None,
    allow_unauthenticated: Annotated[
        bool, typer.Option("--allow-unauthenticated", help="Serve addresses other than loopback without API keys.")
    ] = False,
) -> None:
    """Run the gateway alone, in front of a Triton that runs elsewhere with the same `router.yaml`.

    It serves while Triton is away, too: with the default model. `/health/ready` says whether Triton answers.

    Example: llm-router gateway --triton triton.internal:8001 --config router.yaml
    """
    words = ["--config", str(config), "--triton-url", triton, "--host", host, "--port", str(port)]
    words += ["--journal", str(journal)] if journal else []
    words += ["--allow-unauthenticated"] if allow_unauthenticated else []
    # The process becomes the gateway, as `llm-router up` and the image start it: signals reach it directly.
    os.execv(sys.executable, [sys.executable, "-m", "router_backend.gateway", *words])
