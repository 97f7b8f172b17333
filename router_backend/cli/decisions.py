"""`llm-router decisions`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from router_backend.cli.options import DEFAULT_CONFIG, DEFAULT_STATE_DIR, Config, StateDir
from router_backend.config import load_config
from router_backend.observability.decisions import of_archive, of_records
from router_backend.observability.report import seconds
from router_backend.state.decision_rows import DecisionRow, Wanted
from router_backend.state.open import open_store

_WIDTH = 240  # ids are there to be copied: no line is cut


def decisions(
    since: Annotated[str, typer.Option(help="How far back: a number with m, h, d or w.")] = "1d",
    limit: Annotated[int, typer.Option(help="The latest so many.", min=1)] = 20,
    key: Annotated[str, typer.Option(help="Name of the API key.")] = "",
    model: Annotated[str, typer.Option(help="That was chosen.")] = "",
    task: Annotated[str, typer.Option(help="Of the prompt.")] = "",
    reason: Annotated[str, typer.Option(help="Its beginning, such as policy or policy:linucb.")] = "",
    cost_from: Annotated[float | None, typer.Option(help="At least so many USD.", min=0)] = None,
    score_from: Annotated[float | None, typer.Option(help="Scored with at least this.", min=0, max=1)] = None,
    score_to: Annotated[float | None, typer.Option(help="Scored with at most this.", min=0, max=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, with all fields.")] = False,
    archived: Annotated[
        bool,
        typer.Option("--archived", help="From the archive instead of the store: older ones, but not the last minutes."),
    ] = False,
    config: Config = DEFAULT_CONFIG,
    state_dir: StateDir = DEFAULT_STATE_DIR,
) -> None:
    """The latest decisions, with model, task, reason, cost and score.

    Example: llm-router decisions --since 2h --model llama3-70b --score-to 0.3
    """
    wanted = Wanted(
        start=time.time() - seconds(since),
        limit=limit,
        key=key,
        model=model,
        task=task,
        reason=reason,
        cost_from=cost_from,
        score_from=score_from,
        score_to=score_to,
    )
    settings = load_config(config)
    if archived:
        from router_backend.archive.process import archive_place
        from router_backend.archive.reading import tables

        with tables(archive_place(settings, state_dir)) as opened:
            rows = of_archive(opened, wanted)
    else:
        with closing(open_store(settings.state, state_dir, settings.retention_days, create=False)) as store:
            rows = of_records(store.archive().records(), wanted)
    if as_json:
        typer.echo(orjson.dumps([asdict(row) for row in rows], option=orjson.OPT_INDENT_2).decode())
    else:
        _print(rows)


def _print(rows: Sequence[DecisionRow]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("decision", "time (UTC)", "key", "model", "task", "reason", "status"):
        table.add_column(title, no_wrap=True)
    for title in ("cost USD", "seconds", "score"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        answered = row.model if row.served in (None, row.model) else f"{row.model} → {row.served}"
        table.add_row(
            row.decision_id,
            f"{datetime.fromtimestamp(row.created, UTC):%m-%d %H:%M:%S}",
            row.key or "",
            answered,
            row.task,
            row.reason,
            "" if row.status is None else str(row.status),
            *("" if value is None else f"{value:.3g}" for value in (row.cost, row.latency, row.score)),
        )
    Console(highlight=False, width=_WIDTH).print(table)
