"""`llm-router simulate --agents`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from router_backend.lab.agents.compare import Estimate


def simulate_agents(n: int, seeds: int, out: Path) -> None:
    """Play n runs of agents for each seed, print a table and write `agents.json`."""
    import json

    from rich.console import Console
    from rich.table import Table

    from router_backend.cli.replay import progress_bar
    from router_backend.cores import usable_cores
    from router_backend.lab.agents.compare import RIVALS, compare, parts

    with progress_bar() as bar:
        task = bar.add_task("runs of agents", total=parts(seeds))
        lines = list(compare(seeds, n, done=lambda: bar.advance(task), workers=max(1, int(usable_cores()))))
    table = Table(
        "prices",
        "strategy",
        "λ",
        "quality",
        "USD a run",
        "switches",
        "cached",
        *(f"cost / {name}, {of}" for name in RIVALS for of in ("by seed", "together")),
    )
    for line in lines:
        against = [
            _ratio(each[name]) if name in each else "" for name in RIVALS for each in (line.against, line.together)
        ]
        table.add_row(
            line.provider,
            line.strategy,
            f"{line.weight:g}" if line.weight else "",
            f"{line.quality.mean:.3f}",
            f"{line.cost.mean:.3f}",
            f"{line.switches.mean:.1f}",
            f"{100 * line.cached.mean:.0f} %",
            *against,
        )
    Console().print(table)
    out.mkdir(parents=True, exist_ok=True)
    summary = {"runs": n, "seeds": seeds, "lines": [asdict(line) for line in lines]}
    (out / "agents.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    typer.echo(f"{out / 'agents.json'} written")


def _ratio(estimate: Estimate) -> str:
    return f"{estimate.mean:.2f} ({estimate.low:.2f} … {estimate.high:.2f})"
