"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from router_backend.config import runtime

GatewayUrl = Annotated[
    str, typer.Option("--url", envvar="LLM_ROUTER_URL", help="The gateway.", show_default="http://127.0.0.1:8080")
]
TritonUrl = Annotated[
    str,
    typer.Option("--triton", envvar="LLM_ROUTER_TRITON", help="Triton's gRPC address.", show_default="127.0.0.1:8001"),
]
ApiKey = Annotated[
    str, typer.Option("--api-key", envvar="LLM_ROUTER_API_KEY", help="API key of the gateway.", show_default=False)
]
Config = Annotated[
    Path, typer.Option("--config", envvar=runtime.CONFIG, help="router.yaml; default: the local profile.")
]
StateDir = Annotated[
    Path,
    typer.Option("--state-dir", envvar=runtime.STATE_DIR, help="Folder of the state, the logs and Triton's files."),
]

DEFAULT_CONFIG = runtime.config_path()
DEFAULT_STATE_DIR = runtime.state_dir()
DEFAULT_URL = "http://127.0.0.1:8080"
DEFAULT_TRITON = "127.0.0.1:8001"
