"""`llm-router report`."""

from __future__ import annotations

import time
from contextlib import closing
from enum import StrEnum
from typing import Annotated

import orjson
import typer

from router_backend.cli.options import DEFAULT_CONFIG, DEFAULT_STATE_DIR, Config, StateDir
from router_backend.config import load_config
from router_backend.observability import rendering
from router_backend.observability.report import build, seconds
from router_backend.state.open import open_store


class Format(StrEnum):
    text = "text"
    json = "json"
    html = "html"


def report(
    since: Annotated[str, typer.Option(help="How far back: a number with m, h, d or w.")] = "1d",
    form: Annotated[Format, typer.Option("--format", help="Of the output.")] = Format.text,
    config: Config = DEFAULT_CONFIG,
    state_dir: StateDir = DEFAULT_STATE_DIR,
) -> None:
    """Requests, cost and savings by model, task and key, from the state store.

    Example: llm-router report --since 1d --format html > report.html
    """
    end = time.time()
    start = end - seconds(since)
    settings = load_config(config)
    with closing(open_store(settings.state, state_dir, settings.retention_days)) as store:
        made = build(store.archive().records(), settings, start, end)
    match form:
        case Format.json:
            typer.echo(orjson.dumps(made.plain(), option=orjson.OPT_INDENT_2).decode())
        case Format.html:
            typer.echo(rendering.page(made), nl=False)
        case Format.text:
            typer.echo(rendering.text(made))
