"""`llm-router simulate`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from router_backend.cli.agents import simulate_agents
from router_backend.cli.options import DEFAULT_CONFIG, DEFAULT_URL, ApiKey, Config, GatewayUrl
from router_backend.cli.replay import ContextOption, Models, encoded, words

if TYPE_CHECKING:
    from llm_router_client import RouterClient
    from router_backend.config import RouterConfig
    from router_backend.lab.replay.datasets import RoutingData
    from router_backend.lab.replay.simulation import Live


def simulate(
    data: Annotated[
        Path | None, typer.Argument(help="CSV or Parquet: prompt, task, <model>__score, <model>__cost.", exists=True)
    ] = None,
    models: Models = "",
    rename: Annotated[
        str, typer.Option(help="Arms for the file's models: `model=arm`, by comma; default: by rank of cost and price.")
    ] = "",
    limit: Annotated[int, typer.Option(help="Prompts to send.", min=1)] = 500,
    seed: Annotated[int, typer.Option(help="Of the prompts' order.")] = 0,
    max_tokens: Annotated[int, typer.Option(help="Limit of each answer.", min=1)] = 8,
    agents: Annotated[
        int, typer.Option(help="Instead of a file: simulated runs of agents, for each seed; no system is asked.", min=0)
    ] = 0,
    seeds: Annotated[int, typer.Option(help="With --agents: repetitions, for the intervals.", min=1)] = 6,
    out: Annotated[Path, typer.Option(help="Folder of simulation.json and the plot.")] = Path("simulation"),
    context: ContextOption = "",
    config: Config = DEFAULT_CONFIG,
    url: GatewayUrl = DEFAULT_URL,
    api_key: ApiKey = "",
) -> None:
    """Send recorded prompts through the running system and give the recorded score of the chosen model as feedback.

    The local profile's models share one small model, so real differences in quality come from the recording. Shows the share
    of each model, the quality and the savings while it learns, and compares with the same policy replayed offline.

    With --agents, what agents' runs cost at the same quality: this router against routing that knows no caches, and
    against sessions that never change their model.

    Example: llm-router simulate answers.parquet --models small,medium,large --limit 300
    """
    if agents:
        simulate_agents(agents, seeds, out)
        return
    if data is None:
        raise typer.BadParameter("name a file of recorded answers, or give --agents", param_hint="DATA")
    import json

    import numpy as np

    from router_backend.cli.connect import connected
    from router_backend.cli.replay import progress_bar
    from router_backend.config import load_config
    from router_backend.lab.replay import simulation
    from router_backend.lab.replay.datasets import load_routing_data
    from router_backend.lab.replay.plots import plot_simulation

    settings = load_config(config)
    routing = load_routing_data(data, words(models) or None)
    arms = _arms(settings, routing, rename)
    evaluated = routing.rows(~routing.train)
    rows = np.random.default_rng(seed).permutation(len(evaluated))[:limit]
    chosen = evaluated.rows(rows)
    with connected(url, api_key) as client:
        live = _watched(client, chosen, arms, max_tokens)
    with progress_bar() as bar:
        contexts, _ = encoded(chosen, context, bar, os.cpu_count() or 1)
        routed = [answer for answer in live if answer.routed]
        if not routed:
            raise RuntimeError("every decision fell back: raise routing.deadline_ms in router.yaml, or see the logs")
        twin = simulation.twin_curves(settings, chosen, contexts, arms, routed)
    found, saved = simulation.agreement(routed, twin), simulation.savings(chosen, live)
    out.mkdir(parents=True, exist_ok=True)
    summary: dict[str, Any] = {
        "prompts": len(live),
        "fell_back": len(live) - len(routed),
        "arms": dict(zip(chosen.models, arms, strict=True)),
        "shares": {arm: sum(answer.arm == i for answer in live) / len(live) for i, arm in enumerate(arms)},
        **saved,
        "offline": {"quality": found.offline, "interval95": [found.low, found.high], "agrees": found.agrees},
    }
    (out / "simulation.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    plot_simulation(routing.name, chosen, arms, routed, twin, out / "simulation.png")
    typer.echo(
        f"quality {100 * saved['quality']:.1f} % (always the most expensive: {100 * saved['dearest_quality']:.1f} %),"
        f" {100 * saved['saved']:.0f} % of the cost saved; offline replay: {100 * found.low:.1f} … {100 * found.high:.1f} %"
        f" ({'agrees' if found.agrees else _DIFFERS})"
    )
    if len(routed) < len(live):
        typer.echo(
            f"{len(live) - len(routed)} decisions fell back (a slow machine?) and are left out of the comparison",
            err=True,
        )
    typer.echo(f"{out / 'simulation.json'} and simulation.png written")


_DIFFERS = "differs: the router had learned something before, so start it with an empty state; or scores came later than the next prompts"


def _arms(settings: RouterConfig, data: RoutingData, rename: str) -> list[str]:
    """The router's name of each of the data's models.

    Raises:
        ValueError: a name that isn't configured, or another number of models than the router has.
    """
    names = list(settings.names)
    pairs = dict(pair.split("=", 1) for pair in words(rename) if "=" in pair)
    if pairs:
        arms = [pairs.get(model, model) for model in data.models]
        if unknown := [arm for arm in arms if arm not in names]:
            raise ValueError(f"--rename: the router has no model {unknown[0]!r}; it has {', '.join(names)}")
        return arms
    if set(data.models) <= set(names):
        return list(data.models)
    if len(data.models) != len(names):
        raise ValueError(
            f"the file has {len(data.models)} models and the router {len(names)}: choose as many with --models, or --rename"
        )
    by_price = sorted(settings.models, key=lambda model: model.price.blended)
    by_cost = data.cost.mean(0).argsort()
    arms = [""] * len(names)
    for model, arm in zip(by_cost, by_price, strict=True):
        arms[int(model)] = arm.name
    return arms


def _watched(client: RouterClient, data: RoutingData, arms: Sequence[str], max_tokens: int) -> list[Live]:
    """Simulate with a live view of progress, shares, quality and savings."""
    import numpy as np
    from rich.console import Console, Group
    from rich.live import Live as Display
    from rich.table import Table

    from router_backend.cli.replay import progress_bar
    from router_backend.lab.replay.simulation import savings, simulate

    bar = progress_bar()
    task = bar.add_task("asking the router", total=len(data))
    seen: list[Live] = []

    def view() -> Group:
        table = Table("model", "stands for", "share", "quality", box=None)
        for arm, name in enumerate(arms):
            mine = [answer for answer in seen if answer.arm == arm]
            quality = f"{100 * np.mean([answer.quality for answer in mine]):.0f} %" if mine else "–"
            share = len(mine) / max(len(seen), 1)
            table.add_row(name, data.models[arm], f"{'█' * round(30 * share):30} {100 * share:3.0f} %", quality)
        if not seen:
            return Group(bar, table)
        found = savings(data, seen)
        line = (
            f"quality {100 * found['quality']:.1f} %, always the most expensive {100 * found['dearest_quality']:.1f} %;"
            f" {100 * found['saved']:.0f} % of the cost saved"
        )
        return Group(bar, table, line)

    def answered(answer: Live) -> None:
        seen.append(answer)
        bar.advance(task)
        display.update(view())

    with Display(view(), console=Console(stderr=True), refresh_per_second=8) as display:
        return simulate(client, data, arms, np.arange(len(data)), max_tokens, answered)
