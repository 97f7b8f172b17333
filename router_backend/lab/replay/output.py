"""Writes a replay's folder: `report.json`, `report.md` and the plots."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_backend.lab.replay.baselines import rewards
from router_backend.lab.replay.plots import plot_learning, plot_plane
from router_backend.lab.replay.procedure import Run
from router_backend.lab.replay.runner import Grid, Replay, Setting, middle
from router_backend.lab.replay.summary import Report

Floats = NDArray[np.float64]
PLANE, LEARNING = "plane.png", "learning.png"


def write_report(report: Report, curves: dict[str, Floats], folder: Path) -> None:
    """Create `folder` and fill it; what a replay wrote there before is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    plot_plane(report, folder / PLANE)
    plot_learning(report, curves, folder / LEARNING)
    (folder / "report.md").write_text(markdown(report), encoding="utf-8")


def learning_curves(replay: Replay, grid: Grid, runs: dict[Setting, Run]) -> dict[str, Floats]:
    """Policy → [seeds, online]: cumulative reward minus that of the single model that is best on these rows."""
    lambda_, size = middle(grid.lambdas), grid.components[-1]
    found = {}
    for policy in grid.policies:
        rows = []
        for seed in range(grid.seeds):
            run = runs[Setting(policy, lambda_, size, seed)]
            got = rewards(run.played.quality, run.played.cost, lambda_, replay.scale)
            every = rewards(run.truth, replay.evaluated.cost[run.played.rows], lambda_, replay.scale)
            rows.append(np.cumsum(got - every[:, every.mean(0).argmax()]))
        found[policy] = np.array(rows)
    return found


def markdown(report: Report) -> str:
    """The report as tables."""
    data = report["data"]
    prior = f"prior from {data['train_rows']:,} `train` rows" if data["prior"] else "no prior"
    lines = [
        f"# Replay of {data['title']}",
        "",
        f"{data['evaluated_rows']:,} evaluated rows, {data['bootstrap']:.0%} of them as bootstrap, {data['seeds']} seeds; {prior};"
        f" context: {data['context']}. λ is the price of USD {data['cost_scale_usd']:.3g} a query. Quality in %, cost in USD per 1,000 queries.",
        "",
        f"![Cost and quality]({PLANE})",
        "",
        f"![Learning]({LEARNING})",
        "",
        "## Single models and baselines",
        "",
        "| | quality | cost | above hull | arena score |",
        "|---|--:|--:|--:|--:|",
        *(_row(model, point) for model, point in report["singles"].items()),
        *(_row(name.replace("_", " "), point) for name, point in report["baselines"].items()),
        "",
        "## Policies, mean over λ",
        "",
        "| policy | points above hull | 95 % | AIQ |",
        "|---|--:|--:|--:|",
        *(
            f"| {name} | {mean['value']:+.2f} | {_interval(mean['ci95'])} | {report['aiq'].get(name, float('nan')):.3f} |"
            for name, mean in report["above_hull_mean"].items()
        ),
        "",
        *_comparisons(report),
        *_two_models(report),
        *_scenarios(report),
        "## Policies, every setting",
        "",
        "| policy | λ | components | quality | cost | hull | above hull | 95 % | regret | over-routed |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, entries in report["policies"].items():
        lines += [
            f"| {name} | {e['lambda']:g} | {e['components'] or '–'} | {100 * e['quality']:.2f} | {1000 * e['cost']:.3f}"
            f" | {100 * e['hull_quality']:.2f} | {e['above_hull']:+.2f} | {_interval(e['above_hull_ci95'])}"
            f" | {e['regret']:.1f} | {100 * e['over_routing']:.1f} % |"
            for e in entries
        ]
    return "\n".join(lines) + "\n"


def _row(name: str, point: Report) -> str:
    above = f"{point['above_hull']:+.2f}" if "above_hull" in point else ""
    return (
        f"| {name} | {100 * point['quality']:.2f} | {1000 * point['cost']:.3f} | {above} | {point['arena_score']:.3f} |"
    )


def _interval(ends: list[float]) -> str:
    return f"{ends[0]:+.2f} … {ends[1]:+.2f}"


def _comparisons(report: Report) -> list[str]:
    lines = []
    for name, others in report["comparisons"].items():
        lines += [
            f"## {name} against the others",
            "",
            "Paired differences, mean over λ: points above the hull, and 100 × reward a query.",
            "",
            "| other | above hull | 95 % | reward | 95 % |",
            "|---|--:|--:|--:|--:|",
        ]
        for other, found in others.items():
            above, reward = found["above_hull"], found["reward"]
            lines.append(
                f"| {other.replace('_', ' ')} | {above['difference']:+.2f} | {_interval(above['ci95'])}"
                f" | {reward['difference']:+.2f} | {_interval(reward['ci95'])} |"
            )
    return [*lines, ""]


def _two_models(report: Report) -> list[str]:
    if not report["apgr"]:
        return []
    lines = ["## Two models (RouteLLM)", "", "| router | APGR | CPT(50 %) | CPT(80 %) |", "|---|--:|--:|--:|"]
    for name, value in report["apgr"].items():
        lines.append(
            f"| {name} | {value:.3f} | {100 * report['cpt50'][name]:.1f} % | {100 * report['cpt80'][name]:.1f} % |"
        )
    return [*lines, ""]


def _scenarios(report: Report) -> list[str]:
    if not report["scenarios"]:
        return []
    lines = ["## Scenarios", "", "Mean reward a query at the middle λ in either half of the run.", ""]
    lines += [
        "| scenario | policy | first half | second half | best single, second half | regret |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for scenario, policies in report["scenarios"].items():
        lines += [
            f"| {scenario.replace('_', ' ')} | {name} | {found['first_half']:.3f} | {found['second_half']:.3f}"
            f" | {found['best_single_second_half']:.3f} | {found['regret']:.1f} |"
            for name, found in policies.items()
        ]
    return [*lines, ""]
