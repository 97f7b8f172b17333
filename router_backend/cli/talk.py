"""`route`, `chat`, `feedback`: the running system from the command line, through its public interfaces."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from router_backend.cli.options import DEFAULT_TRITON, DEFAULT_URL, ApiKey, GatewayUrl, TritonUrl

_HELP_TEXT = "The prompt; - reads standard input."
_DECISION_SECONDS = 10.0
_SILENT_SECONDS = 2.0


def route(
    text: Annotated[str, typer.Argument(help=_HELP_TEXT)],
    as_json: Annotated[bool, typer.Option("--json", help="JSON alone on standard output.")] = False,
    policy: Annotated[str, typer.Option(help="A configured policy other than the default.")] = "",
    triton: TritonUrl = DEFAULT_TRITON,
) -> None:
    """Show the decision for a prompt, without asking a model.

    Example: llm-router route "Write FizzBuzz in Python" --json
    """
    started = time.perf_counter()
    decision = _decide(triton, _read(text), policy)
    total = 1e3 * (time.perf_counter() - started)
    decision["timings_ms"] = {**decision["timings_ms"], "total": round(total, 3)}
    if as_json:
        typer.echo(orjson.dumps(decision, option=orjson.OPT_INDENT_2).decode())
        return
    _print_decision(decision)


def chat(
    text: Annotated[str, typer.Argument(help=_HELP_TEXT)],
    stream: Annotated[bool, typer.Option("--stream", help="Print the answer as it is made.")] = False,
    model: Annotated[str, typer.Option(help="auto routes; a model's name bypasses routing.")] = "auto",
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Limit of the answer.")] = None,
    url: GatewayUrl = DEFAULT_URL,
    api_key: ApiKey = "",
) -> None:
    """Ask the router and print the answer; who answered, and why, goes to standard error.

    Example: llm-router chat "Why is the sky blue?" --stream
    """
    from router_backend.cli.connect import connected

    fields: dict[str, Any] = {} if max_tokens is None else {"max_tokens": max_tokens}
    with connected(url, api_key) as client:
        if stream:
            with client.stream(_read(text), model=model, **fields) as chunks:
                decision = chunks.decision
                for chunk in chunks:
                    typer.echo(chunk.text, nl=False)
            typer.echo()
        else:
            with _sign_of_life():
                answer = client.chat(_read(text), model=model, **fields)
            decision = answer.decision
            typer.echo(answer.text)
    said = {
        "model": decision.model,
        "task": decision.task,
        "reason": decision.reason,
        "decision-id": decision.decision_id,
    }
    typer.echo("  ".join(f"{name}={value or '-'}" for name, value in said.items()), err=True)


def feedback(
    decision_id: Annotated[str, typer.Argument(help="From the header x-router-decision-id.")],
    score: Annotated[float, typer.Option(min=0.0, max=1.0, help="0 (bad) to 1 (good).")],
    task: Annotated[str, typer.Option(help="The right task, if the decision's was wrong.")] = "",
    url: GatewayUrl = DEFAULT_URL,
    api_key: ApiKey = "",
) -> None:
    """Score an answer. When this returns, the score is stored for good.

    Example: llm-router feedback 01938c2e-7d5a-7cc3-9f4e-0a1b2c3d4e5f --score 1
    """
    from router_backend.cli.connect import connected

    with connected(url, api_key) as client:
        learned = client.feedback(decision_id, score, task=task)
    if learned.duplicate:
        typer.echo(f"already scored: the first score, {learned.score:g}, counts (reward {learned.reward:.3f})")
    else:
        typer.echo(f"accepted, reward {learned.reward:.3f}")


@contextmanager
def _sign_of_life() -> Iterator[None]:
    """Says on a terminal that the answer is awaited, once that takes long."""
    if not sys.stderr.isatty():
        yield
        return
    timer = threading.Timer(_SILENT_SECONDS, typer.echo, ["waiting for the answer …"], {"err": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _read(text: str) -> str:
    return sys.stdin.read() if text == "-" else text


def _decide(address: str, text: str, policy: str) -> dict[str, Any]:
    from llm_router_client import Hints
    from router_backend.cli.connect import connected

    if not text:
        raise ValueError("the prompt is empty; give some text")
    with connected(f"triton+grpc://{address}", timeout=_DECISION_SECONDS) as client:
        return dict(client.route(text, hints=Hints(policy=policy)).raw)


def _print_decision(decision: dict[str, Any]) -> None:
    console = Console(highlight=False)
    console.print(f"[bold]{decision['model']}[/bold]  ({decision['reason']})")
    console.print(
        f"task {decision['task']}, complexity {decision['complexity']:.2f}, decision {decision['decision_id']}"
    )
    table = Table(box=None, pad_edge=False)
    for title in ("model", "score", "expected reward", "exploration", "expected cost, USD"):
        table.add_column(title, justify="left" if title == "model" else "right")
    for name in decision["ranking"]:
        numbers = (decision[key].get(name) for key in ("scores", "means", "bonuses"))
        cost = decision["expected_cost"].get(name)
        table.add_row(
            name, *(f"{n:.3f}" if n is not None else "-" for n in numbers), f"{cost:.6f}" if cost is not None else "-"
        )
    console.print(table)
