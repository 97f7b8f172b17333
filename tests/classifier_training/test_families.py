from __future__ import annotations

import csv
import re

import numpy as np
import pytest

from classifier_training.data import families, templates
from classifier_training.data.constraints import constrained
from classifier_training.data.files import CORPUS, held_out_corpus, own_corpus
from router_backend.contract import TASKS


def rows_of(name: str) -> list[tuple[str, ...]]:
    with (CORPUS / name).open(newline="", encoding="utf-8") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("templates.csv", templates.rows()),
        ("families.csv", families.rows({"en": "en", "ja": "ja", "": "further"})),
        ("wide.csv", families.rows({"en": "wide_en", "ja": "wide_ja"}, "own-wide")),
        (
            "contrast.csv",
            families.rows({"en": "contrast_en", "ja": "contrast_ja"}, "own-contrast", draws=families.CONTRAST_DRAWS),
        ),
        ("turns.csv", families.rows({"en": "turns_en", "ja": "turns_ja"}, "own-turns")),
        ("heldout_families.csv", families.rows({"en": "heldout_en", "ja": "heldout_ja"}, "own-heldout-families")),
    ],
    ids=["templates", "families", "wide", "contrast", "turns", "held-out families"],
)
def test_the_files_are_what_their_modules_make(name: str, made: object) -> None:
    assert rows_of(name) == list(dict.fromkeys(made))  # type: ignore[call-overload]


def test_every_family_has_a_known_task_and_no_slot_stays_open() -> None:
    for name in ("families", "wide", "contrast", "turns", "heldout_families"):
        for text, task, *_ in rows_of(f"{name}.csv"):
            assert task in TASKS
            assert not re.search(r"(?<!\$)\{[a-z]+\}", text)


def test_languages_have_about_as_many_rows_of_each_task() -> None:
    for name in ("families.csv", "wide.csv", "contrast.csv", "turns.csv", "heldout_families.csv"):
        counts = {
            language: {task: sum(row[1] == task and row[3] == language for row in rows_of(name)) for task in TASKS}
            for language in ("en", "ja")
        }
        for task in TASKS:
            assert abs(counts["en"][task] - counts["ja"][task]) <= 0.35 * counts["en"][task], task


def test_no_request_that_is_measured_is_trained_on() -> None:
    def requests(name: str) -> set[str]:
        content = families.yaml.safe_load((families.FAMILIES / f"{name}.yaml").read_text("utf-8"))
        return {request for tasks in content["families"].values() for asks in tasks.values() for request in asks}

    for language in ("en", "ja"):
        trained_on = requests(language).union(
            *(requests(f"{name}_{language}") for name in ("wide", "contrast", "turns"))
        )
        assert not trained_on & requests(f"heldout_{language}")
    trained = {row[0] for name in ("families.csv", "wide.csv", "contrast.csv", "turns.csv") for row in rows_of(name)}
    assert not trained & {row[0] for row in rows_of("heldout_families.csv")}
    assert str(CORPUS / "families.csv") in own_corpus()
    assert str(CORPUS / "heldout_families.csv") in held_out_corpus()


def test_a_form_of_the_answer_stands_beside_the_whole_request() -> None:
    rng = np.random.default_rng(0)
    for text, words in (("Why is the sky blue?", "[a-z]"), ("空はなぜ青いのですか。", "[ぁ-ん]")):
        for _ in range(200):
            found, _ = constrained(text, rng)
            assert text in found
            added = found.replace(text, "", 1)
            assert re.search(words, added.lower())
            assert "{" not in re.sub(r"```json|\{\}", "", added)
