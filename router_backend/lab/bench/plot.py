"""The picture of a run: added latency and throughput, target by target. Needs matplotlib (the `train` extra)."""

from __future__ import annotations

from pathlib import Path

from router_backend.lab.bench.results import Results

_OURS, _THEIRS, _INK = "#0072B2", "#8a8f98", "#222222"


def plot(results: Results, file: Path) -> None:
    """Write an SVG: p50 with p95 added over direct at one client, and requests a second at 16 clients."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "llm-router"
    direct = results.target("direct")
    assert direct is not None
    shown = sorted(results.targets[1:], key=lambda target: -target.closed[1].p50)
    names = [f"{target.name} {target.version if 'llm-router' not in target.name else ''}".strip() for target in shown]
    colours = [_OURS if "llm-router" in name else _THEIRS for name in names]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 0.5 * len(shown) + 1.4), sharey=True)
    added = [max(0.01, target.closed[1].p50 - direct.closed[1].p50) for target in shown]
    worst = [max(0.01, target.closed[1].p95 - direct.closed[1].p95) for target in shown]
    left.barh(names, added, color=colours)
    left.scatter(worst, names, color=_INK, marker="|", s=120, label="p95")
    left.set_xscale("log")
    left.set_xlabel("added latency at 1 client, ms (bar: p50, mark: p95)")
    rates = [target.closed[16].rate for target in shown]
    right.barh(names, rates, color=colours)
    right.set_xlabel("requests/s at 16 clients")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="x", alpha=0.3)
        axis.set_axisbelow(True)
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
