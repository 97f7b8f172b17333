"""What was learned before the step of a loop was part of the context is still known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from router_backend.bandits.context import CONTEXT_DIM, EARLIER_DIM, STEP, build_context, prompt_tokens, widened
from router_backend.bandits.statistics.change import Errors
from router_backend.bandits.statistics.prior import DIM, Prior
from router_backend.bandits.statistics.ridge import RidgeArms
from router_backend.contract import EMBEDDING_DIM, TASKS


def test_a_context_has_the_step_of_its_loop_at_its_end() -> None:
    asked = np.zeros(EMBEDDING_DIM, np.float32), np.zeros(len(TASKS), np.float32), 0.5, 300, True, False
    own, step = build_context(*asked), build_context(*asked, depth=3, tool="write", failed=True)
    np.testing.assert_array_equal(widened(own[:EARLIER_DIM]), own)
    np.testing.assert_array_equal(step[:EARLIER_DIM], own[:EARLIER_DIM])
    assert prompt_tokens(step) == pytest.approx(300, rel=1e-3)
    assert step[EARLIER_DIM:].tolist() == pytest.approx([np.log(4) / np.log(65), 0, 1, 0, 0, 1])


def narrow(x: np.ndarray) -> np.ndarray:
    """In front of the bias."""
    return np.delete(x, range(x.shape[-1] - 1 - STEP, x.shape[-1] - 1), axis=-1)


@pytest.mark.parametrize("restarted", [False, True])
def test_earlier_sums_say_the_same_of_a_users_turn(restarted: bool) -> None:
    draw, dim = np.random.default_rng(0), 20 + STEP
    before, after = RidgeArms(2, dim - STEP, 1.5, 0.5), RidgeArms(2, dim, 1.5, 0.5)
    x = draw.normal(size=(300, dim))
    x[:, -1], x[:, -1 - STEP : -1] = 1.0, 0.0
    for row in x[:200]:
        before.update(0, narrow(row), float(row[0] > 0), 0.01)
    if restarted:
        before.restart(0, 50.0, level=False)
        for row in x[200:]:
            before.update(0, narrow(row), float(row[0] > 0), 0.01)
    after.load(before.dump())
    for arm in (0, 1):
        np.testing.assert_allclose(after.block(arm)[dim] @ x.T, before.block(arm)[dim - STEP] @ narrow(x).T, atol=1e-9)
        np.testing.assert_allclose(after.cost(arm) @ x.T, before.cost(arm) @ narrow(x).T, atol=1e-9)
    step = np.zeros(dim)
    step[-2] = 1.0
    assert step @ after.block(0)[:dim] @ step == pytest.approx(1 / 1.5)  # nothing is known of it


def test_an_earlier_prior_is_read(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    contexts = widened(draw.normal(size=(50, EARLIER_DIM)).astype(np.float32))
    prior = Prior.fit(("a",), contexts, draw.random((50, 1)), draw.random((50, 1)), 1.0)
    at = range(DIM - 1 - STEP, DIM - 1)
    earlier = Prior(
        prior.arms,
        np.delete(np.delete(prior.precision, at, 1), at, 2),
        np.delete(prior.quality, at, 1),
        np.delete(prior.cost, at, 1),
        1.0,
    )
    earlier.save(tmp_path / "prior.npz")
    read = Prior.load(tmp_path / "prior.npz")
    np.testing.assert_array_equal(read.precision, prior.precision)
    np.testing.assert_array_equal(read.quality, prior.quality)


def test_errors_of_earlier_contexts_are_read() -> None:
    errors = Errors()
    fields = {**errors.dump(), "contexts": np.ones((3, EARLIER_DIM), np.float32)}
    fields["values"] = np.zeros((len(fields["values"]), 3))
    batch, _ = Errors.loaded(fields).latest(3)
    assert batch.contexts.shape == (3, CONTEXT_DIM)
    assert not batch.contexts[:, EARLIER_DIM:].any()
