"""Decisions on the same request in another form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from router_backend.lab.replay.encode import Contexts
from router_backend.lab.replay.perturbed import decisions_that_stay, forms_of
from router_backend.lab.replay.policies import Tuning
from router_backend.lab.replay.runner import Grid, Replay, Setting
from tests.lab.replay.worlds import make_world


@pytest.fixture
def setup() -> Replay:
    data, contexts = make_world(rows=400)
    return Replay(data, contexts, Tuning())


def same_contexts(setup: Replay, shift: float) -> object:
    """An encoder that knows the plain text of each form, and moves its context by `shift`."""
    place = {str(prompt).split()[-1]: row for row, prompt in enumerate(setup.evaluated.prompts)}

    def encode(texts: Sequence[str]) -> Contexts:
        numbers = ["".join(char for char in text if char.isdigit()) for text in texts]
        found = setup.seen.rows(np.array([place[number] for number in numbers]))
        return Contexts(found.context + np.float32(shift), found.prompt_tokens, found.embedding_space)

    return encode


GRID = Grid(("linucb",), lambdas=(0.2,), components=(32,), seeds=1, scenarios=())


def test_a_form_that_is_read_alike_goes_to_the_same_model(setup: Replay) -> None:
    forms = forms_of(setup, same_contexts(setup, 0.0), 60)  # type: ignore[arg-type]
    found = decisions_that_stay(setup, GRID, forms)
    assert found["unchanged"] == found["always"] == 1.0
    assert 30 <= found["prompts"] <= 60  # type: ignore[operator]  # the others are bootstrap
    assert set(found["by_perturbation"]) == set(forms.changed)  # type: ignore[call-overload]
    assert "other order" not in forms.changed  # of one paragraph


def test_a_form_that_is_read_otherwise_may_go_elsewhere(setup: Replay) -> None:
    forms = forms_of(setup, same_contexts(setup, 4.0), 60)  # type: ignore[arg-type]
    assert decisions_that_stay(setup, GRID, forms)["unchanged"] < 1.0  # type: ignore[operator]


def test_asking_about_forms_teaches_nothing(setup: Replay) -> None:
    setting = Setting("linucb", 0.2, 32, 0)
    before = setup.run(GRID, setting)
    decisions_that_stay(setup, GRID, forms_of(setup, same_contexts(setup, 4.0), 60))  # type: ignore[arg-type]
    np.testing.assert_array_equal(setup.run(GRID, setting).arms, before.arms)
