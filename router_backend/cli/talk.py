"""`route`, `chat`, `feedback`: the running system from the command line, through its public interfaces."""

from __future__ import annotations

import sys
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
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": _read(text)}], "stream": stream}
    if max_tokens is not None:
        body["max_tokens"] = max_tokens
    with _posted(url, "/v1/chat/completions", body, api_key) as response:
        if stream:
            for line in _lines(response):
                _print_chunk(line)
            typer.echo()
        else:
            response.read()
            typer.echo(response.json()["choices"][0]["message"]["content"])
    names = ("model", "task", "reason", "decision-id")
    typer.echo("  ".join(f"{n}={response.headers.get(f'x-router-{n}', '-')}" for n in names), err=True)


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
    body: dict[str, Any] = {"decision_id": decision_id, "score": score, **({"task": task} if task else {})}
    with _posted(url, "/v1/feedback", body, api_key) as response:
        response.read()
        typer.echo(f"accepted, reward {response.json()['reward']:.3f}")


def _read(text: str) -> str:
    return sys.stdin.read() if text == "-" else text


def _decide(address: str, text: str, policy: str) -> dict[str, Any]:
    import numpy as np
    import tritonclient.grpc as triton

    inputs = []
    for name, value in (("text_input", text), ("policy", policy)):
        if value:
            tensor = triton.InferInput(name, [1, 1], "BYTES")
            tensor.set_data_from_numpy(np.array([[value.encode()]], object))
            inputs.append(tensor)
    if not text:
        raise ValueError("the prompt is empty; give some text")
    try:
        result = triton.InferenceServerClient(address).infer("route", inputs, client_timeout=10)
    except triton.InferenceServerException as error:
        raise RuntimeError(
            f"Triton at {address} did not decide: {error.message()} (is `llm-router up` running?)"
        ) from error
    decision: dict[str, Any] = orjson.loads(result.as_numpy("decision").reshape(-1)[0])
    return decision


@contextmanager
def _posted(url: str, path: str, body: dict[str, Any], api_key: str) -> Iterator[Any]:
    """The response to a POST, its body still to be read; RuntimeError with the server's message for any failure."""
    import httpx

    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    limits = httpx.Timeout(610, connect=5)
    try:
        with httpx.stream("POST", f"{url.rstrip('/')}{path}", json=body, headers=headers, timeout=limits) as response:
            if response.status_code != 200:
                response.read()
                raise RuntimeError(f"{response.status_code}: {_message(response)}")
            yield response
    except httpx.ConnectError as error:
        raise RuntimeError(f"no gateway answers at {url}; start one with `llm-router up`, or set --url") from error


def _lines(response: Any) -> Iterator[bytes]:
    """Lines of a stream. httpx's own also end at U+2028 and others, which JSON may hold as they are."""
    rest = b""
    for piece in response.iter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines


def _message(response: Any) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return str(response.text[:200])


def _print_chunk(line: bytes) -> None:
    if not line.startswith(b"data: {"):
        return
    chunk = orjson.loads(line[6:])
    if "error" in chunk:
        raise RuntimeError(f"the answer broke off: {chunk['error']['message']}")
    for choice in chunk["choices"]:
        typer.echo(choice["delta"].get("content") or "", nl=False)


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
