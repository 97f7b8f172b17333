"""The pictures of a replay: the cost–quality plane with the hull, and how reward grows while a policy learns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from router_backend.lab.replay.summary import Report, seeds

if TYPE_CHECKING:
    from router_backend.lab.replay.datasets import RoutingData
    from router_backend.lab.replay.simulation import Live

Floats = NDArray[np.float64]
# Okabe and Ito's palette: told apart by colour-blind readers too.
_COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#8C6D1F",
    "#6A51A3",
    "#B2182B",
    "#4D4D4D",
)
_INK, _SOFT, _HULL = "#222222", "#8a8f98", "#c9ced6"
_POINTS = 240  # of a curve; more can't be seen
_PER_1000 = 1000.0


@contextmanager
def _canvas(
    path: Path, width: float = 8.0, height: float = 5.0, rows: int = 1, ratios: Sequence[float] = (1,)
) -> Iterator[Any]:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    style: Any = {
        "font.family": "DejaVu Sans",
        "font.size": 10.5,
        "figure.dpi": 150,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": _SOFT,
        "axes.labelcolor": _INK,
        "axes.grid": True,
        "grid.color": "#eceef1",
        "grid.linewidth": 0.9,
        "axes.axisbelow": True,
        "xtick.color": _SOFT,
        "ytick.color": _SOFT,
        "xtick.labelcolor": _INK,
        "ytick.labelcolor": _INK,
        "legend.frameon": False,
        "svg.hashsalt": "llm-router",
    }
    with pyplot.rc_context(style):
        figure, axes = pyplot.subplots(rows, figsize=(width, height), layout="constrained", height_ratios=ratios)
        yield axes
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
        pyplot.close(figure)


def plot_plane(report: Report, path: Path) -> None:
    """Quality against cost: single models, their hull, the policies over λ, random choice and the oracle."""
    hull_cost = [point["cost"] * _PER_1000 for point in report["hull"]]
    hull_quality = [100 * point["quality"] for point in report["hull"]]
    with _canvas(path) as axes:
        right = max(point["cost"] for point in report["singles"].values()) * _PER_1000 * 1.04
        axes.fill_between([*hull_cost, right], [*hull_quality, hull_quality[-1]], color="#f4f5f7", zorder=0, lw=0)
        axes.plot([*hull_cost, right], [*hull_quality, hull_quality[-1]], color=_HULL, lw=2, zorder=1)
        for point in report["singles"].values():
            axes.plot(point["cost"] * _PER_1000, 100 * point["quality"], "o", color=_INK, ms=6.5, zorder=3)
        for colour, (policy, entries) in zip(_COLOURS * 3, report["policies"].items(), strict=False):
            most = entries[-1]["components"]
            points = sorted((e["cost"] * _PER_1000, 100 * e["quality"]) for e in entries if e["components"] == most)
            x, y = zip(*points, strict=True)
            first = policy == next(iter(report["policies"]))
            axes.plot(
                x,
                y,
                "o-",
                color=colour,
                lw=2.2 if first else 1.3,
                ms=6 if first else 4.5,
                label=policy,
                zorder=5 if first else 4,
            )
        for name, marker, label in (
            ("random", "D", "random"),
            ("task_lookup", "s", "task table"),
            ("oracle", "*", "oracle"),
        ):
            point = report["baselines"][name]
            axes.plot(
                point["cost"] * _PER_1000,
                100 * point["quality"],
                marker,
                color="white",
                mec=_SOFT,
                mew=1.5,
                ms=13 if marker == "*" else 7,
                label=label,
                ls="none",
                zorder=3,
            )
        axes.set_xlim(0, right)
        lowest = min(100 * point["quality"] for point in report["singles"].values())
        highest = 100 * report["baselines"]["oracle"]["quality"]
        axes.set_ylim(lowest - 0.08 * (highest - lowest), highest + 0.06 * (highest - lowest))
        axes.set_xlabel("cost, USD per 1,000 queries")
        axes.set_ylabel("quality, %")
        axes.set_title(
            f"{_title(report)}\nGrey: what mixing single models at random reaches", loc="left", fontsize=11, color=_INK
        )
        axes.legend(loc="lower right", ncols=2 if len(report["policies"]) > 4 else 1, fontsize=9)
        _name_points(
            axes, [(_short(model), p["cost"] * _PER_1000, 100 * p["quality"]) for model, p in report["singles"].items()]
        )


def plot_learning(report: Report, curves: Mapping[str, Floats], path: Path) -> None:
    """Cumulative reward over the best single model's; `curves`: policy → [seeds, online]."""
    with _canvas(path) as axes:
        ends = []
        for colour, (policy, curve) in zip(_COLOURS * 3, curves.items(), strict=False):
            steps = np.unique(np.linspace(0, curve.shape[1] - 1, _POINTS).astype(int))
            mean = curve.mean(0)[steps]
            first = policy == next(iter(curves))
            if first:  # more than one band hides the curves
                axes.fill_between(steps + 1, curve.min(0)[steps], curve.max(0)[steps], color=colour, alpha=0.13, lw=0)
            axes.plot(steps + 1, mean, color=colour, lw=2.4 if first else 1.6)
            ends.append((float(mean[-1]), policy, colour))
        axes.axhline(0, color=_SOFT, lw=1)
        _name_ends(axes, ends)
        axes.set_xlim(1, max(curve.shape[1] for curve in curves.values()))
        axes.set_xlabel("queries answered")
        axes.set_ylabel("cumulative reward over the best single model")
        several = f"Mean of {seeds(report['data']['seeds'])}; band: range of {next(iter(curves))}"
        axes.set_title(
            f"{_title(report)}, λ = {report['data']['curve_lambda']:g}\n{several if report['data']['seeds'] > 1 else '1 seed'}",
            loc="left",
            fontsize=11,
            color=_INK,
        )


def plot_simulation(
    title: str, data: RoutingData, arms: Sequence[str], live: Sequence[Live], twin: Floats, path: Path
) -> None:
    """Mean quality so far, live and offline, and below it the share of each model as it changes."""
    quality = np.array([answer.quality for answer in live])
    chosen = np.array([answer.arm for answer in live])
    steps = np.arange(1, len(live) + 1)
    offline = np.cumsum(twin, axis=1) / steps
    low, high = np.percentile(offline, (2.5, 97.5), axis=0)
    with _canvas(path, height=6.0, rows=2, ratios=(3, 2)) as (above, below):
        above.fill_between(
            steps, 100 * low, 100 * high, color=_COLOURS[0], alpha=0.15, lw=0, label="replayed offline, 95 %"
        )
        above.plot(steps, 100 * np.cumsum(quality) / steps, color=_COLOURS[0], lw=2.2, label="live")
        levels = 100 * data.quality[[answer.row for answer in live]].mean(0)
        for level in levels:
            above.axhline(level, color=_SOFT, lw=1, ls=(0, (4, 3)))
        above.set_ylabel("mean quality so far, %")
        above.legend(loc="lower right", fontsize=9)
        above.set_title(f"{title} through the running system, {len(live)} prompts", loc="left", fontsize=11, color=_INK)
        window = max(10, len(live) // 10)
        kernel = np.ones(window)
        weight = np.convolve(np.ones(len(live)), kernel)[: len(live)]
        shares = [np.convolve(chosen == arm, kernel)[: len(live)] / weight for arm in range(len(arms))]
        below.stackplot(steps, *(100 * share for share in shares), colors=_COLOURS, alpha=0.85, labels=arms, lw=0)
        below.set_ylim(0, 100)
        below.set_ylabel(f"share of the last {window}, %")
        below.set_xlabel("queries answered")
        below.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9, reverse=True)
        for axes in (above, below):
            axes.set_xlim(1, len(live))
        _name_ends(
            above, [(float(level), _short(model), _INK) for level, model in zip(levels, data.models, strict=True)]
        )


def _name_ends(axes: Any, ends: list[tuple[float, str, str]]) -> None:
    """Names beside the ends of curves, pushed apart where they would overlap."""
    axes.figure.draw_without_rendering()  # the layout gives the axes their height
    (low, high), size = axes.get_ylim(), 9.5
    line = 1.25 * size * axes.figure.dpi / 72 / axes.get_window_extent().height  # a line's share of the height
    ends = sorted(ends)
    places = apart([(value - low) / (high - low) for value, _, _ in ends], line)
    for place, (_, name, colour) in zip(places, ends, strict=True):
        axes.annotate(name, (1.01, place), xycoords="axes fraction", color=colour, va="center", fontsize=size)


def apart(wanted: Sequence[float], gap: float) -> list[float]:
    """The places from 0 to 1, in the order of `wanted` (ascending) and near to it, that lie a gap apart; less where they are too many."""
    gap = min(gap, 1 / max(len(wanted) - 1, 1))
    places: list[float] = []
    for at, value in enumerate(wanted):
        places.append(max(value, places[-1] + gap if at else 0.0))
    top = 1.0
    for at in reversed(range(len(places))):
        places[at] = min(places[at], top)
        top = places[at] - gap
    return places


_BESIDE = (
    (8, -13),
    (8, 5),
    (-8, 5),
    (-8, -13),
    *((x, y) for step in range(2, 30) for y in (12 * step, -12 * step) for x in (8, -8)),
)


def _name_points(axes: Any, points: Sequence[tuple[str, float, float]]) -> None:
    """Names beside points, `(name, x, y)`: each at the nearest place (offsets in points) where it covers no name, point or legend."""
    from matplotlib.transforms import Bbox

    figure = axes.figure
    figure.draw_without_rendering()  # what the layout moves has its place now
    frame, taken = axes.get_window_extent(), [axes.get_legend().get_window_extent()]
    half = 3.5 * figure.dpi / 72  # of a point's mark
    taken += [Bbox([at - half, at + half]) for at in axes.transData.transform([(x, y) for _, x, y in points])]
    for name, x, y in points:
        for dx, dy in _BESIDE:
            side = "right" if dx < 0 else "left"
            text = axes.annotate(
                name, (x, y), (dx, dy), textcoords="offset points", ha=side, color=_INK, fontsize=9, zorder=6
            )
            box = text.get_window_extent()
            if frame.x0 <= box.x0 and box.x1 <= frame.x1 and not any(box.overlaps(other) for other in taken):
                break
            text.remove()
        else:  # no room at all
            axes.annotate(name, (x, y), _BESIDE[0], textcoords="offset points", color=_INK, fontsize=9, zorder=6)
        taken.append(box)


def _title(report: Report) -> str:
    return str(report["data"]["title"])


def _short(model: str) -> str:
    return model if len(model) <= 26 else model[:25] + "…"
