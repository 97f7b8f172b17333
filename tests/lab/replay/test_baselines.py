"""Baselines on a table small enough to check by eye."""

from __future__ import annotations

import numpy as np
import pytest

from router_backend.lab.replay import baselines
from router_backend.lab.replay.datasets import RoutingData

QUALITY = np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
COST = np.tile([1.0, 4.0], (4, 1))
LABELS = np.array(["easy", "hard", "hard", "easy"], object)
DATA = RoutingData("x", ("weak", "strong"), LABELS, LABELS, LABELS, QUALITY, COST, np.zeros(4, bool))


def test_the_oracles() -> None:
    assert baselines.cheapest_right(DATA).tolist() == [0, 1, 0, 0]
    assert baselines.oracle(DATA, lambda_=2.0, scale=baselines.cost_scale(COST)).tolist() == [0, 0, 0, 0]


def test_the_group_table_learns_each_group_and_falls_back_for_an_unseen_one() -> None:
    table = baselines.GroupTable(DATA.rows(np.repeat(np.arange(4), 50)))
    chosen = table.choose(np.array(["easy", "hard", "never seen"], object), lambda_=0.2, scale=4.0)
    assert chosen.tolist() == [0, 1, 0]
    assert table.gap(np.array(["easy"], object), 0, 1)[0] == pytest.approx(-0.5, abs=0.05)


def test_random_at_equal_cost_costs_what_it_should() -> None:
    quality, cost = baselines.random_at_cost(QUALITY, COST, 2.5)
    assert cost.mean() == pytest.approx(2.5)
    assert quality.tolist() == [1.0, 0.5, 0.0, 0.5]
    assert baselines.random_at_cost(QUALITY, COST, 99.0)[1].mean() == pytest.approx(4.0)


def test_a_cascade_pays_for_every_answer_on_its_way() -> None:
    quality, cost = baselines.cascade(DATA, np.array([0, 1]), 0.5)
    assert quality.tolist() == [1, 1, 0, 1]
    assert cost.tolist() == [1, 5, 5, 1]
