"""`llm-router report`."""

from __future__ import annotations

import time
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import orjson
import typer

from router_backend.cli.options import DEFAULT_CONFIG, DEFAULT_STATE_DIR, Config, StateDir
from router_backend.config import RouterConfig, load_config
from router_backend.observability import rendering
from router_backend.observability.report import Report, build, moment
from router_backend.state.open import open_store


class Format(StrEnum):
    text = "text"
    json = "json"
    html = "html"
    csv = "csv"


def report(
    since: Annotated[
        str,
        typer.Option(help="How far back: a number with m, h, d or w; or a date or time in UTC, such as 2026-11-29."),
    ] = "1d",
    until: Annotated[
        str, typer.Option(help="Where it ends, in the same words; default: now.", show_default=False)
    ] = "",
    form: Annotated[Format, typer.Option("--format", help="Of the output.")] = Format.text,
    config: Config = DEFAULT_CONFIG,
    state_dir: StateDir = DEFAULT_STATE_DIR,
) -> None:
    """Whether routing pays, then requests, cost and savings by model, task, team and key, from the state store, or from the archive where there is one.

    Example: llm-router report --since 1d --format html > report.html
    """
    now = time.time()
    start, end = moment(since, now), moment(until, now) if until else now
    if start >= end:
        raise ValueError("--until is not after --since")
    settings = load_config(config)
    if settings.archive is not None:
        made = _archived(settings, state_dir, start, end)
    else:
        with closing(open_store(settings.state, state_dir, settings.retention_days)) as store:
            made = build(store.archive().records(), settings, start, end)
    match form:
        case Format.json:
            typer.echo(orjson.dumps(made.plain(), option=orjson.OPT_INDENT_2).decode())
        case Format.html:
            typer.echo(rendering.page(made), nl=False)
        case Format.csv:
            typer.echo(rendering.table(made), nl=False)
        case Format.text:
            typer.echo(rendering.text(made))


def _archived(settings: RouterConfig, state_dir: Path, start: float, end: float) -> Report:
    """What was written in the last minutes isn't in the archive yet."""
    from router_backend.archive.process import archive_place
    from router_backend.archive.reading import tables
    from router_backend.observability.archived import build_archived

    with tables(archive_place(settings, state_dir)) as opened:
        return build_archived(opened, settings, start, end)
