"""`init`: a router.yaml out of what upstreams say of themselves."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from router_backend.cli.probe import Found, Server, ask, models_of
from router_backend.cli.proposal import Arm, arms_of, render
from router_backend.config import parse_config

# So many are all taken when nobody is there to choose.
_ALL = 8
_UpstreamOption = typer.Option(
    "--upstream",
    help="Base URL of a server with OpenAI's API, up to /v1; with =VARIABLE behind it, the environment variable that holds its key. May be repeated.",
)


def init(
    upstream: Annotated[list[str] | None, _UpstreamOption] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="One of the upstreams' models, by its name there. May be repeated.")
    ] = None,
    output: Annotated[Path, typer.Option(help="The file to write.")] = Path("router.yaml"),
    check: Annotated[
        bool, typer.Option(help="Ask each model once, with tools and for JSON, to see what it can.")
    ] = True,
    force: Annotated[bool, typer.Option(help="Replace the file if there is one.")] = False,
) -> None:
    """Write a `router.yaml`: asks upstreams for their models, looks up windows and prices, and tries each model.

    Example: llm-router init --upstream http://localhost:9000/v1 --upstream https://api.openai.com/v1=OPENAI_API_KEY --model gpt-4o-mini
    """
    if output.exists() and not force:
        raise typer.BadParameter(f"{output} is there already; --force replaces it", param_hint="--output")
    talks = sys.stdin.isatty()
    if not upstream and not talks:
        raise typer.BadParameter("name an upstream; without a terminal nobody can be asked", param_hint="--upstream")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    chosen: list[Found] = []
    for server in [_server(text) for text in upstream] if upstream else _asked_servers():
        with console.status(f"asking {server.base_url} for its models …"):
            found = models_of(server)
        console.print(f"{server.base_url} has {len(found)} model{'' if len(found) == 1 else 's'}.")
        chosen += _chosen(found, model or [], talks, console)
    _all_named(chosen, model or [])
    arms = arms_of(chosen)
    if check:
        for arm in arms:
            with console.status(f"asking {arm.name} …"):
                arm.tried = ask(arm.found)
            console.print(f"{arm.name}: {arm.tried.summary}")
    text = render(arms)
    parse_config(text)  # what is written is valid
    output.write_text(text, encoding="utf-8")
    console.print(_table(arms))
    for arm in arms:
        if not arm.priced:
            console.print(f"[yellow]{arm.name}: nobody publishes a price; write what it costs into {output}[/yellow]")
    console.print(f"Wrote {output}. Next: llm-router doctor --config {output}, then llm-router up --config {output}")


def _server(text: str) -> Server:
    """`URL` or `URL=VARIABLE`; the URL itself may hold an equals sign."""
    match = re.fullmatch(r"(https?://[^\s]+?)(?:=([A-Za-z_][A-Za-z0-9_]*))?", text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} isn't http://… or https://…", param_hint="--upstream")
    return Server(match[1].rstrip("/"), match[2])


def _asked_servers() -> list[Server]:
    servers: list[Server] = []
    while True:
        more = " (empty: no more)" if servers else ", such as http://localhost:9000/v1"
        url = typer.prompt(f"Base URL of an upstream{more}", default="", show_default=False, err=True).strip()
        if url:
            variable = typer.prompt(
                "Environment variable with its key (empty: none)", default="", show_default=False, err=True
            ).strip()
            servers.append(_server(f"{url}={variable}" if variable else url))
        elif servers:
            return servers


def _chosen(found: Sequence[Found], wanted: Sequence[str], talks: bool, console: Console) -> list[Found]:
    if wanted:
        return [one for one in found if one.id in wanted]
    if len(found) == 1:
        return list(found)
    if not talks:
        if len(found) <= _ALL:
            return list(found)
        names = ", ".join(one.id for one in found)
        raise typer.BadParameter(f"choose some of its {len(found)} models: {names}", param_hint="--model")
    for number, one in enumerate(found, 1):
        console.print(f"{number:4}  {one.id}")
    while True:
        answer = typer.prompt("Which of them? Numbers, such as 1 3, or all", default="all", err=True)
        picked = list(found) if answer.strip() == "all" else _numbered(found, answer)
        if picked:
            return picked
        console.print(f"Numbers from 1 to {len(found)}, please.")


def _numbered(found: Sequence[Found], answer: str) -> list[Found]:
    words = re.findall(r"[^\s,]+", answer)
    if not all(word.isdecimal() and 1 <= int(word) <= len(found) for word in words):
        return []
    return [found[number - 1] for number in dict.fromkeys(int(word) for word in words)]


def _all_named(chosen: Sequence[Found], wanted: Sequence[str]) -> None:
    missing = sorted(set(wanted) - {one.id for one in chosen})
    if missing:
        raise typer.BadParameter(f"no upstream has a model {missing[0]!r}", param_hint="--model")
    if not chosen:
        raise RuntimeError("the upstreams have no models; start one, or load a model into it")


def _table(arms: Sequence[Arm]) -> Table:
    table = Table("name", "USD per million tokens", "window", "can", "of")
    for arm in arms:
        price = f"{arm.price.input:g} in, {arm.price.output:g} out" if arm.priced else "unknown"
        table.add_row(arm.name, price, f"{arm.window}", ", ".join(arm.capabilities), arm.source)
    return table
