"""Names in the pictures can be read: none lies on another, on a point or outside."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from router_backend.lab.replay.plots import apart, plot_learning, plot_plane, plot_simulation
from router_backend.lab.replay.simulation import Live
from tests.lab.replay.worlds import make_world

NAMES = [f"model-of-a-family-{number}" for number in range(8)]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    """The figures, which are kept open."""
    figures: list[Figure] = []
    close = pyplot.close
    monkeypatch.setattr(pyplot, "close", figures.append)
    yield figures
    for figure in figures:
        close(figure)


def test_names_of_models_that_are_alike_lie_apart(drawn: list[Figure], tmp_path: Path) -> None:
    # Eight models in a heap, two of them the same point; one far away at either end of the costs.
    rng = np.random.default_rng(3)
    points = [(0.0001, 0.3), (0.003, 0.9), *((0.0011 + 0.00002 * c, 0.6 + 0.004 * q) for c, q in rng.random((5, 2)))]
    plot_plane(report([*points, points[-1]]), tmp_path / "plane.png")
    names = of(drawn, NAMES)
    assert len(names) == len(NAMES)
    legend = drawn[0].axes[0].get_legend().get_window_extent()
    assert_readable([*names.values(), legend], drawn[0].axes[0].get_window_extent())


def test_names_of_curves_that_end_alike_lie_apart(drawn: list[Figure], tmp_path: Path) -> None:
    # All end at the top: pushed upwards alone they would leave the picture.
    curves = {name: np.linspace(0, 20 + 0.01 * at, 50)[None] for at, name in enumerate(NAMES)}
    plot_learning({"data": {"title": "world", "seeds": 1, "curve_lambda": 0.2}}, curves, tmp_path / "learning.png")
    names = of(drawn, NAMES)
    assert len(names) == len(NAMES)
    assert_readable(list(names.values()), drawn[0].bbox)
    assert "1 seed" in drawn[0].axes[0].get_title(loc="left")


def test_names_of_models_that_are_as_good_lie_apart(drawn: list[Figure], tmp_path: Path) -> None:
    data, _ = make_world(rows=60)
    data.quality[:] = 0.5
    live = [Live(row, row % 3, 0.5, 0.001, (0.001,) * 3, "policy:linucb") for row in range(60)]
    plot_simulation("world", data, list(data.models), live, np.full((4, 60), 0.5), tmp_path / "simulation.png")
    names = {text.get_text(): text.get_window_extent() for text in drawn[0].axes[0].texts}
    assert names.keys() == set(data.models)
    assert_readable(list(names.values()), drawn[0].bbox)


def test_places_stay_where_there_is_room() -> None:
    assert apart([0.1, 0.5, 0.9], 0.1) == [0.1, 0.5, 0.9]
    assert apart([0.95, 0.96, 0.97], 0.1) == pytest.approx([0.8, 0.9, 1.0])
    assert apart([-0.2, 0.0], 0.1) == pytest.approx([0.0, 0.1])
    assert apart([0.5] * 21, 0.1) == pytest.approx([at / 20 for at in range(21)])
    assert apart([], 0.1) == []


def of(drawn: list[Figure], names: list[str]) -> dict[str, Any]:
    return {text.get_text(): text.get_window_extent() for text in drawn[0].axes[0].texts if text.get_text() in names}


def assert_readable(boxes: list[Any], frame: Any) -> None:
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    for box in boxes:
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        assert frame.y0 <= box.y0
        assert box.y1 <= frame.y1


def report(points: list[tuple[float, float]]) -> dict[str, Any]:
    """As far as the plane is drawn from it."""
    singles = {name: {"cost": cost, "quality": quality} for name, (cost, quality) in zip(NAMES, points, strict=True)}
    middle = {"cost": 0.001, "quality": 0.7}
    return {
        "data": {"title": "world"},
        "singles": singles,
        "hull": [{"cost": 0.0001, "quality": 0.3}, {"cost": 0.003, "quality": 0.9}],
        "policies": {"linucb": [{**middle, "components": 32}]},
        "baselines": {"random": middle, "task_lookup": middle, "oracle": {"cost": 0.001, "quality": 0.95}},
    }
