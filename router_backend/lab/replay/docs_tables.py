"""Writes the tables of docs/replay.md from the reports of its commands: `python -m router_backend.lab.replay.docs_tables out docs/replay.md`.

A table is found by its header row; the words around it stay, so read them again afterwards.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from router_backend.lab.tables import row

Report = dict[str, Any]

SETS = {
    "zeroeval": "GSM8K, MATH, CRUX: Llama-3-8B, GPT-3.5, GPT-4o",
    "zeroeval31": "the same prompts: Llama-3.1-8B, GPT-4o-mini, GPT-4o",
    "routerbench": "RouterBench (ARC-C, Winogrande, MBPP): Mistral-7B, Mixtral, GPT-3.5, GPT-4",
    "mmlupro": "MMLU-Pro: Llama-3.1-8B, Gemini 1.5 Flash, Pro, Llama-3.1-70B",
    "routellm": "RouteLLM (MMLU, GSM8K): Mixtral, GPT-4",
}
SCENARIOS = {
    "drift": "drift",
    "new_model": "new model",
    "delayed_sparse": "delayed sparse",
    "poisoned": "poisoned",
}
MIDDLE, SIZE = 0.2, 128


def main(out: Path, page: Path) -> None:
    reports = {name: _report(out / name) for name in SETS}
    words = {name: _report(out / f"tfidf-{name}") for name in SETS}
    cold = {name: _report(out / f"cold-{name}") for name in SETS}
    joined = {name: _report(out / f"joined-{name}") for name in SETS}
    held = {name: _report(out / f"budget-{name}") for name in SETS}
    judged = {name: _report(folder) for name in SETS if (folder := out / f"judge-{name}").is_dir()}
    text = page.read_text()
    for header, rows in {
        "| data | evaluated |": [_headline(name, reports[name], words[name]) for name in SETS],
        "| data | ucb1 |": [_comparison(name, reports[name]) for name in SETS],
        "| data | λ |": [line for name in SETS for line in _settings(name, reports[name])],
        "| router | APGR |": _two_models(reports["routellm"]),
        "| | quality | cost |": _metallm(reports["zeroeval"]),
        "| scenario | policy |": _scenarios(reports["zeroeval"]),
        "| data | linucb | linucb-guard |": [_cold(name, reports[name], cold[name]) for name in SETS],
        "| data | after requests |": [_judged(name, judged[name]) for name in SETS if name in judged],
        "| data | requests | its share |": [_newcomer(name, joined[name]) for name in SETS if _to_find(joined[name])],
        "| data | USD per 1,000 |": [_budget(name, held[name]) for name in SETS],
        "| data | USD a day |": [_by_day(name, held[name]) for name in SETS],
    }.items():
        text = _replaced(text, header, rows)
    page.write_text(text)


def _report(folder: Path) -> Report:
    found: Report = json.loads((folder / "report.json").read_text())
    return found


def _replaced(text: str, header: str, rows: list[str]) -> str:
    """The page with other rows in the table whose header row starts so."""
    lines = text.split("\n")
    (start,) = (i for i, line in enumerate(lines) if line.startswith(header))
    end = next(i for i in range(start, len(lines)) if not lines[i].startswith("|"))
    return "\n".join([*lines[: start + 2], *rows, *lines[end:]])


def _interval(low: float, high: float) -> str:
    return f"{low:+.2f} … {high:+.2f}"


def _at(report: Report, policy: str, price: float = MIDDLE, size: int = SIZE) -> Report:
    """One setting's figures; policies that read no embedding have one size."""
    entries = [entry for entry in report["policies"][policy] if abs(entry["lambda"] - price) < 1e-9]
    return next((entry for entry in entries if entry["components"] == size), entries[-1])


def _headline(name: str, report: Report, words: Report) -> str:
    mean, hull = report["above_hull_mean"], report["baselines"]
    table = sum(hull[f"task_lookup@{price}"]["above_hull"] for price in (0.1, 0.2, 0.3)) / 3
    lexical = [f"{words['above_hull_mean'][policy]['value']:+.2f}" for policy in ("linucb", "linucb-noprior")]
    return row(
        SETS[name],
        f"{report['data']['evaluated_rows']:,}",
        f"**{mean['linucb']['value']:+.2f}**",
        _interval(*mean["linucb"]["ci95"]),
        f"{mean['linucb-noprior']['value']:+.2f}",
        " / ".join(lexical),
        f"{table:+.2f}",
        f"{mean['ucb1']['value']:+.2f}",
    )


def _comparison(name: str, report: Report) -> str:
    others = report["comparisons"]["linucb"]
    found = [others[other]["above_hull"] for other in ("ucb1", "thompson", "random_equal_cost")]
    return row(SETS[name], *(f"{f['difference']:+.2f} ({_interval(*f['ci95'])})" for f in found))


def _settings(name: str, report: Report) -> list[str]:
    found = [_at(report, "linucb", price) for price in (0.1, 0.2, 0.3)]
    return [
        row(
            SETS[name].split(":")[0],
            f"{entry['lambda']}",
            f"{100 * entry['quality']:.1f} %, {1000 * entry['cost']:.3f}",
            f"{entry['above_hull']:+.2f}",
            f"{100 * entry['over_routing']:.0f} %",
            f"{entry['arena_score']:.3f}",
            f"{entry['regret']:.0f}",
        )
        for entry in found
    ]


def _two_models(report: Report) -> list[str]:
    return [
        row(
            router.replace("_", " "),
            f"{report['apgr'][router]:.3f}",
            f"{100 * report['cpt50'][router]:.0f} %",
            f"{100 * report['cpt80'][router]:.0f} %",
        )
        for router in report["apgr"]
    ]


def _metallm(report: Report) -> list[str]:
    points: dict[str, Report] = dict(report["singles"])
    base = report["baselines"]
    points |= {
        "random": base["random"],
        "random at LinUCB's cost": base["random_equal_cost"],
        "task table": base["task_lookup"],
        "UCB1": _at(report, "ucb1"),
        "Thompson (Beta)": _at(report, "thompson"),
        "linear Thompson, 128": _at(report, "lints"),
        **{f"LinUCB-{size}, no prior": _at(report, "linucb-noprior", size=size) for size in (32, 64, 128)},
        **{f"LinUCB-{size}": _at(report, "linucb", size=size) for size in (32, 64, 128)},
        "oracle": base["oracle"],
        "cascade with a perfect judge": base["cascade_perfect_judge"],
    }
    return [
        row(
            name,
            f"{100 * point['quality']:.1f} %",
            f"{1000 * point['cost']:.3f}",
            f"{point['above_hull']:+.2f}" if "above_hull" in point else "",
        )
        for name, point in points.items()
    ]


def _scenarios(report: Report) -> list[str]:
    rows = []
    for scenario, title in SCENARIOS.items():
        for policy, found in report["scenarios"][scenario].items():
            second = f"{found['second_half']:.3f}"
            if scenario == "new_model":
                second += f" (newcomer: {100 * found['newcomer_share']:.0f} % of queries)"
            best = f"{found['best_single_second_half']:.3f}"
            rows.append(row(title, policy, f"{found['first_half']:.3f}", second, best))
    return rows


def _short(name: str) -> str:
    return SETS[name].partition(":")[0].partition(" (")[0]


def _cold(name: str, report: Report, cold: Report) -> str:
    means = [report["above_hull_mean"][policy]["value"] for policy in ("linucb", "linucb-guard")]
    first = [cold["above_hull_first"][policy]["value"] for policy in ("linucb", "linucb-guard")]
    return row(_short(name), *(f"{value:+.2f}" for value in [*means, *first]))


def _judged(name: str, report: Report) -> str:
    found = report["judge"]["linucb"]
    rewards = (f"{found[scores]:.3f}" for scores in ("unscored", "judged", "all"))
    share = "no gain" if found["share_of_gain"] is None else f"{100 * found['share_of_gain']:.0f} %"
    return row(_short(name), f"{found['after']:,}", *rewards, share)


def _to_find(report: Report) -> bool:
    """Whether the best model has any share in hindsight."""
    return bool(report["scenarios"]["new_model"]["linucb"]["newcomer_hindsight_share"] >= 0.01)


def _newcomer(name: str, report: Report) -> str:
    found = report["scenarios"]["new_model"]["linucb"]
    shares = (f"{100 * found[share]:.0f} %" for share in ("newcomer_share", "newcomer_hindsight_share"))
    return row(_short(name), f"{found['newcomer_requests']:.0f}", *shares)


def _budget(name: str, report: Report) -> str:
    found = report["budget"]["linucb"]
    off, worst = f"{100 * found['off']:+.1f} %", f"{100 * found['worst_window']:.1f} %"
    return row(_short(name), f"{found['usd_per_1000']:g}", f"{found['requests']:,}", off, worst)


def _by_day(name: str, report: Report) -> str:
    found = report["budget_by_day"]["linucb"]
    off, worst = f"{100 * found['off']:+.1f} %", f"{100 * found['worst_day']:.1f} %"
    return row(_short(name), f"{found['usd_per_day']:g}", f"{found['requests']:,}", f"{found['days']:.1f}", off, worst)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
