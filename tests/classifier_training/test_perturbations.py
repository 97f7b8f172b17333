from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from classifier_training.data.perturbations import PERTURBATIONS, perturbed
from classifier_training.evaluation.stability import stability
from router_backend.classifier.artifact import Artifact

TEXTS = ('Summarize this:\n\nThe cat sat on the mat, "said" Tom.', "次の文を要約してください。", "x", "")


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_the_same_seed_gives_the_same_form(name: str) -> None:
    for text in TEXTS:
        forms = {PERTURBATIONS[name](text, np.random.default_rng(3)) for _ in range(3)}
        assert len(forms) == 1


def test_what_is_asked_stays_in_the_text() -> None:
    for name, change in PERTURBATIONS.items():
        form = change(TEXTS[0], np.random.default_rng(1))
        assert form != TEXTS[0], name
        assert len(set(form.lower().split()) & set(TEXTS[0].lower().split())) >= 6, name


def test_instruction_and_text_change_places() -> None:
    change = PERTURBATIONS["other order"]
    rng = np.random.default_rng(0)
    assert change("Shorten this.\n\nA long text.\n\nIts end.", rng) == "A long text.\n\nIts end.\n\nShorten this."
    assert change("one line", rng) == "one line"


def test_two_perturbations_at_most_are_drawn() -> None:
    rng = np.random.default_rng(0)
    forms = {perturbed(TEXTS[0], rng) for _ in range(50)}
    assert len(forms) > 20


def test_stability_counts_the_forms_whose_task_stays(artifact: Path) -> None:
    texts = ["give me ten ideas for cats", "hello how are you today", "what is the capital of tea", "すみません"]
    found = stability(Artifact(artifact), texts, lambda *_: None)
    assert 0 < found.unchanged <= 1
    assert found.always <= found.unchanged
    assert "other order" not in found.by_perturbation  # nothing here has two paragraphs
