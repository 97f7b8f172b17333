"""`llm-router keys`: API keys of the gateway."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from router_backend.config.security import Scope
from router_backend.gateway.keys.auth import new_key

keys = typer.Typer(no_args_is_help=True, help="API keys of the gateway.", add_completion=False)


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
) -> None:
    """Make a key: shows it once, and the lines for `router.yaml`.

    Example: llm-router keys new laptop --scope chat --scope feedback
    """
    scopes = scope or ["chat", "feedback"]
    unknown = sorted(set(scopes) - set(get_args(Scope)))
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(get_args(Scope))}", param_hint="--scope")
    key, digest = new_key()
    typer.echo("The key, shown this once:", err=True)
    typer.echo(key)
    typer.echo("\nAdd to router.yaml, then reload (SIGHUP or POST /admin/reload):", err=True)
    typer.echo(f"security:\n  api_keys:\n    - name: {_quoted(name)}\n      sha256: {digest}", err=True)
    typer.echo(f"      scopes: [{', '.join(scopes)}]", err=True)


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"
