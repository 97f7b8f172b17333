"""`llm-router gateway`: the gateway alone, in front of a Triton that runs elsewhere, or without any."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from router_backend.cli.options import DEFAULT_CONFIG, DEFAULT_STATE_DIR, DEFAULT_TRITON, Config, StateDir, TritonUrl
from router_backend.config import runtime


def gateway(
    config: Config = DEFAULT_CONFIG,
    triton: TritonUrl = DEFAULT_TRITON,
    host: Annotated[str, typer.Option(envvar="LLM_ROUTER_HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="LLM_ROUTER_GATEWAY_PORT", help="Port to listen on.", max=65535)] = 8080,
    journal: Annotated[
        Path | None,
        typer.Option(help="Folder for outcomes that Triton hasn't stored yet, so that they survive the process."),
    ] = None,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    allow_unauthenticated: Annotated[
        bool, typer.Option("--allow-unauthenticated", help="Serve addresses other than loopback without API keys.")
    ] = False,
) -> None:
    """Run the gateway alone, in front of a Triton that runs elsewhere with the same `router.yaml`.

    It serves while Triton is away, too: see `routing.fallback`. `/health/ready` says whether decisions are made. With
    `routing: {host: in_process}` it decides and learns by itself, with the store that `state` names; no Triton is asked.

    Example: llm-router gateway --triton triton.internal:8001 --config router.yaml
    """
    words = ["--config", str(config), "--triton-url", triton, "--host", host, "--port", str(port)]
    words += ["--journal", str(journal)] if journal else []
    words += ["--allow-unauthenticated"] if allow_unauthenticated else []
    os.environ[runtime.STATE_DIR] = str(state_dir)  # where it decides by itself
    # The process becomes the gateway, as `llm-router up` and the image start it: signals reach it directly.
    os.execv(sys.executable, [sys.executable, "-m", "router_backend.gateway", *words])
