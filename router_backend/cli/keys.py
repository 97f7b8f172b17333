"""`llm-router keys`: API keys of the gateway."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from router_backend.config import load_config
from router_backend.config.edit import add_key, remove_key
from router_backend.config.security import ApiKey, KeyGroup, Scope
from router_backend.gateway.keys.auth import new_key

_WIDTH = 240  # names are there to be copied: no line is cut
keys = typer.Typer(no_args_is_help=True, help="API keys of the gateway.", add_completion=False)
_File = Annotated[Path | None, typer.Option("--config", help="router.yaml to write it into; comments stay.")]
_RELOAD = "A running gateway takes the file's change by itself."


@keys.callback()
def _group() -> None:
    """API keys of the gateway. `router.yaml` holds hashes of them, never the keys.

    Example: llm-router keys new laptop
    """


@keys.command()
def new(
    name: Annotated[str, typer.Argument(help="Who uses it; stands in logs and limits.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="chat, feedback, feedback_any, policy or admin; may be repeated.")
    ] = None,
    usd_per_day: Annotated[float | None, typer.Option(min=0.000001, help="It may spend in a UTC day.")] = None,
    usd_per_month: Annotated[float | None, typer.Option(min=0.000001, help="It may spend in a UTC month.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="More are refused.")] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=1, help="Of prompts and answers.")] = None,
    group: Annotated[str | None, typer.Option(help="One of security.groups, whose limits it shares.")] = None,
    expires: Annotated[str | None, typer.Option(help="Last day that it is valid (UTC), such as 2027-06-30.")] = None,
    config: _File = None,
) -> None:
    """Make a key: shows it once, and the lines for `router.yaml`, or writes them into it.

    Example: llm-router keys new laptop --scope chat --usd-per-day 5 --config router.yaml
    """
    scopes = scope or ["chat", "feedback"]
    unknown = sorted(set(scopes) - set(get_args(Scope)))
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(get_args(Scope))}", param_hint="--scope")
    _named(ApiKey, name, "NAME", sha256="0" * 64)
    if group is not None:
        _named(KeyGroup, group, "--group")
    key, digest = new_key()
    limits = {
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "group": group,
        "usd_per_day": usd_per_day,
        "usd_per_month": usd_per_month,
        "expires": _day(expires),
    }
    entry: dict[str, Any] = {"name": name, "sha256": digest, "scopes": scopes}
    entry |= {field: value for field, value in limits.items() if value is not None}
    if config:
        add_key(config, entry)
    typer.echo("The key, shown this once:", err=True)
    typer.echo(key)
    if config:
        typer.echo(f"\nWritten to {config}. {_RELOAD}", err=True)
        return
    typer.echo("\nAdd to router.yaml, then reload (SIGHUP or POST /admin/reload):", err=True)
    typer.echo("security:\n  api_keys:", err=True)
    for at, (field, value) in enumerate(entry.items()):
        typer.echo(f"    {'- ' if at == 0 else '  '}{field}: {_yaml(value)}", err=True)


@keys.command("list")
def list_keys(
    config: Annotated[Path, typer.Option("--config", help="router.yaml.")] = Path("router.yaml"),
) -> None:
    """The keys of a file: what each may do, its limits, and until when.

    Example: llm-router keys list --config router.yaml
    """
    table = Table(box=None, pad_edge=False)
    for title in ("name", "scopes", "group", "requests/min", "tokens/min", "USD/day", "USD/month", "expires"):
        table.add_column(title, no_wrap=True)
    today = _today()
    for key in load_config(config).security.api_keys:
        until = f"{key.expires}{' (expired)' if key.expires < today else ''}" if key.expires else ""
        numbers = (key.requests_per_minute, key.tokens_per_minute, key.usd_per_day, key.usd_per_month)
        table.add_row(
            key.name,
            ", ".join(sorted(key.scopes)),
            key.group or "",
            *("" if number is None else f"{number:g}" for number in numbers),
            until,
        )
    Console(highlight=False, width=_WIDTH).print(table)


@keys.command()
def revoke(
    name: Annotated[str, typer.Argument(help="As in the list.")],
    config: Annotated[Path, typer.Option("--config", help="router.yaml; comments stay.")] = Path("router.yaml"),
) -> None:
    """Take a key out of a file: nobody can use it from the next request on.

    Example: llm-router keys revoke laptop --config router.yaml
    """
    remove_key(config, name)
    typer.echo(f"{name!r} is out of {config}. {_RELOAD}", err=True)


def _named(section: type[ApiKey | KeyGroup], name: str, option: str, **others: str) -> None:
    """Raises BadParameter: `router.yaml` takes no such name."""
    try:
        section.model_validate({"name": name, **others})
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise typer.BadParameter(f"{name!r}: {said}", param_hint=option) from None


def _day(text: str | None) -> date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day such as 2027-06-30", param_hint="--expires") from None
    if day < _today():
        raise typer.BadParameter(f"{text} is over: such a key is refused at once", param_hint="--expires")
    return day


def _today() -> date:
    return datetime.now(UTC).date()


def _yaml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(value)}]"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) and len(value) != 64 else str(value)
