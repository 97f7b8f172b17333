"""`llm-router archive`."""

from __future__ import annotations

from typing import Annotated

import typer

from router_backend.cli.options import DEFAULT_CONFIG, DEFAULT_STATE_DIR, Config, StateDir
from router_backend.config import load_config


def archive(
    config: Config = DEFAULT_CONFIG,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    once: Annotated[bool, typer.Option("--once", help="Archive what there is, and end.")] = False,
    every: Annotated[float, typer.Option(help="Seconds from one group of files to the next.", min=1)] = 300.0,
) -> None:
    """Write decisions, outcomes, feedback and observations as Parquet to where `archive` in router.yaml says.

    `llm-router up` and the chart run it beside the router. Several may run: one of them works.

    Example: llm-router archive --config router.yaml --once
    """
    import logging

    from router_backend.archive.process import archive_once, serve

    settings = load_config(config)
    if once:
        typer.echo(f"{archive_once(settings, state_dir):,} records archived")
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    serve(settings, state_dir, every)
