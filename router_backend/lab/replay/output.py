"""Writes a replay's folder: `report.json`, `report.md` and the plots."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_backend.lab.replay.baselines import rewards
from router_backend.lab.replay.measures import Run
from router_backend.lab.replay.plots import plot_learning, plot_plane
from router_backend.lab.replay.runner import Grid, Replay, Setting, middle
from router_backend.lab.replay.summary import Report, seeds
from router_backend.lab.replay.verdict import sentence
from router_backend.lab.tables import table

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
            got = rewards(run.quality, run.cost, lambda_, replay.scale)
            every = rewards(run.truth, replay.evaluated.cost[run.rows], lambda_, replay.scale)
            rows.append(np.cumsum(got - every[:, every.mean(0).argmax()]))
        found[policy] = np.array(rows)
    return found


def markdown(report: Report) -> str:
    """The report as tables."""
    data = report["data"]
    points = [*report["singles"].items(), *_baselines(report)]
    prior = f"prior from {data['train_rows']:,} `train` rows" if data["prior"] else "no prior"
    first = next(iter(report["above_hull_first"].values()))["requests"]
    lines = [
        f"# Replay of {data['title']}",
        "",
        f"**{sentence(report['verdict'])}** In brackets: 95 % intervals.",
        "",
        f"{data['evaluated_rows']:,} evaluated rows, {data['bootstrap']:.0%} of them as bootstrap, {seeds(data['seeds'])}; {prior};"
        f" context: {data['context']}. λ is the price of USD {data['cost_scale_usd']:.3g} a query. Quality in %, cost in USD per 1,000 queries.",
        "",
        f"![Cost and quality]({PLANE})",
        "",
        f"![Learning]({LEARNING})",
        "",
        "## Single models and baselines",
        "",
        *table(["", "quality", "cost", "above hull", "arena score"], (_point(*point) for point in points), 1),
        "",
        "## Policies, mean over λ",
        "",
        *table(
            [
                "policy",
                "points above hull",
                "95 %",
                "at the start",
                "shuffled",
                "largest model's share",
                "guarded",
                "AIQ",
            ],
            _means(report),
            1,
        ),
        "",
        f"*At the start*: the first {first} requests. *Shuffled*: the same choices, dealt to the queries at random. *Guarded*: the policy's own pick wasn't surely better than the"
        " reference model, which answered.",
        "",
        *_comparisons(report),
        *_two_models(report),
        *_scenarios(report),
        *_judge(report),
        *_budget(report),
        *_by_day(report),
        *_stability(report),
        "## Policies, every setting",
        "",
        *table(
            ["policy", "λ", "components", "quality", "cost", "hull", "above hull", "95 %", "regret", "over-routed"],
            _settings(report),
            1,
        ),
    ]
    return "\n".join(lines) + "\n"


def _baselines(report: Report) -> Iterator[tuple[str, Report]]:
    """Those that depend on λ once for each: by their plain name they are the middle one's."""
    priced = {name.partition("@")[0] for name in report["baselines"] if "@" in name}
    for name, point in report["baselines"].items():
        if name not in priced:
            said, _, lambda_ = name.replace("_", " ").partition("@")
            yield f"{said}, λ {lambda_}" if lambda_ else said, point


def _point(name: str, point: Report) -> list[str]:
    above = f"{point['above_hull']:+.2f}" if "above_hull" in point else ""
    return [name, f"{100 * point['quality']:.2f}", f"{1000 * point['cost']:.3f}", above, f"{point['arena_score']:.3f}"]


def _means(report: Report) -> Iterator[list[str]]:
    size = max((entry["components"] or 0 for e in report["policies"].values() for entry in e), default=0)
    for name, mean in report["above_hull_mean"].items():
        entries = [e for e in report["policies"][name] if e["components"] in (None, size)]
        shuffled = np.mean([entry["shuffled"]["above_hull"] for entry in entries])
        largest, guarded = (np.mean([entry[key] for entry in entries]) for key in ("largest_share", "guarded"))
        yield [
            name,
            f"{mean['value']:+.2f}",
            _interval(mean["ci95"]),
            f"{report['above_hull_first'][name]['value']:+.2f}",
            f"{shuffled:+.2f}",
            f"{largest:.0%}",
            f"{guarded:.0%}",
            f"{report['aiq'].get(name, float('nan')):.3f}",
        ]


def _stability(report: Report) -> list[str]:
    found = report.get("stability")
    if not found or found["unchanged"] is None:
        return []
    return [
        "## The same request, written otherwise",
        "",
        f"{found['policy']} at λ = {found['lambda']:g}, {found['prompts']} prompts: share of the forms that the same model answers"
        f" {found['unchanged']:.3f}, of the prompts whose forms all have it {found['always']:.3f}.",
        "",
        *table(["form", "same model"], ([name, f"{share:.3f}"] for name, share in found["by_perturbation"].items()), 1),
        "",
    ]


def _settings(report: Report) -> Iterator[list[str]]:
    for name, entries in report["policies"].items():
        for entry in entries:
            yield [
                name,
                f"{entry['lambda']:g}",
                str(entry["components"] or "–"),
                f"{100 * entry['quality']:.2f}",
                f"{1000 * entry['cost']:.3f}",
                f"{100 * entry['hull_quality']:.2f}",
                f"{entry['above_hull']:+.2f}",
                _interval(entry["above_hull_ci95"]),
                f"{entry['regret']:.1f}",
                f"{100 * entry['over_routing']:.1f} %",
            ]


def _interval(ends: list[float]) -> str:
    return f"{ends[0]:+.2f} … {ends[1]:+.2f}"


def _comparisons(report: Report) -> list[str]:
    lines = []
    for name, others in report["comparisons"].items():
        rows = [
            [
                other.replace("_", " "),
                *(
                    cell
                    for measure in ("above_hull", "reward")
                    for cell in (f"{found[measure]['difference']:+.2f}", _interval(found[measure]["ci95"]))
                ),
            ]
            for other, found in others.items()
        ]
        lines += [
            f"## {name} against the others",
            "",
            "Paired differences, mean over λ: points above the hull, and 100 × reward a query.",
            "",
            *table(["other", "above hull", "95 %", "reward", "95 %"], rows, 1),
        ]
    return [*lines, ""]


def _two_models(report: Report) -> list[str]:
    if not report["apgr"]:
        return []
    rows = [
        [name, f"{value:.3f}", f"{100 * report['cpt50'][name]:.1f} %", f"{100 * report['cpt80'][name]:.1f} %"]
        for name, value in report["apgr"].items()
    ]
    return ["## Two models (RouteLLM)", "", *table(["router", "APGR", "CPT(50 %)", "CPT(80 %)"], rows, 1), ""]


def _judge(report: Report) -> list[str]:
    if not report["judge"]:
        return []
    rows = [
        [
            name,
            str(found["after"]),
            *(f"{found[key]:.3f}" for key in ("unscored", "judged", "all")),
            "" if found["share_of_gain"] is None else f"{100 * found['share_of_gain']:.0f} %",
        ]
        for name, found in report["judge"].items()
    ]
    header = ["policy", "after requests", "without scores", "a judge's", "all scores", "share of the gain"]
    return ["## A judge", "", "Mean reward a query at the middle λ.", "", *table(header, rows, 1), ""]


def _budget(report: Report) -> list[str]:
    if not report["budget"]:
        return []
    rows = [
        [
            name,
            f"{found['usd_per_1000']:g}",
            f"{found['requests']:,}",
            f"{100 * found['off']:+.1f} %",
            f"{100 * found['worst_window']:.1f} %",
            f"{100 * found['quality_first_half']:.1f} %, {100 * found['quality_second_half']:.1f} %",
        ]
        for name, found in report["budget"].items()
    ]
    header = ["policy", "USD per 1,000", "requests", "spent beyond it", "worst 1,000 in a row", "quality, either half"]
    said = "All prompts and answers cost twice as much in the second half. The worst of the seeds."
    return ["## A budget", "", said, "", *table(header, rows, 1), ""]


def _by_day(report: Report) -> list[str]:
    if not report["budget_by_day"]:
        return []
    rows = [
        [
            name,
            f"{found['usd_per_day']:g}",
            f"{found['requests']:,} in {found['days']:.1f} days",
            f"{100 * found['off']:+.1f} %",
            f"{100 * found['worst_day']:.1f} %",
        ]
        for name, found in report["budget_by_day"].items()
    ]
    header = ["policy", "USD a day", "requests", "spent beyond it", "worst day"]
    said = (
        "All prompts and answers cost twice as much in the second half, and requests come twice as often in the last"
        " quarter. The worst of the seeds; a day is any 24 hours."
    )
    return ["## A budget by the day", "", said, "", *table(header, rows, 1), ""]


def _scenarios(report: Report) -> list[str]:
    if not report["scenarios"]:
        return []
    measures = ("first_half", "second_half", "best_single_second_half")
    rows = [
        [scenario.replace("_", " "), name, *(f"{found[key]:.3f}" for key in measures), f"{found['regret']:.1f}"]
        for scenario, policies in report["scenarios"].items()
        for name, found in policies.items()
    ]
    header = ["scenario", "policy", "first half", "second half", "best single, second half", "regret"]
    lines = ["## Scenarios", "", "Mean reward a query at the middle λ in either half of the run.", ""]
    return [*lines, *table(header, rows, 2), ""]
