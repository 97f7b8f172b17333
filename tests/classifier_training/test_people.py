"""The part of the own corpus that is written by hand in the ways people ask."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from classifier_training.data.files import CORPUS, held_out_corpus, load_prompts, own_corpus
from router_backend.contract import TASKS

PEOPLE = CORPUS / "people.csv"


def normalised(text: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).lower())


def normalised_texts(path: str | Path) -> list[str]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return [normalised(row["text"]) for row in csv.DictReader(file)]


def test_training_reads_it_and_every_row_has_a_difficulty_and_an_own_source() -> None:
    assert str(PEOPLE) in own_corpus()
    rows = load_prompts([str(PEOPLE)])
    assert set(rows.sources) == {"own-people-en", "own-people-ja", "own-people-further"}
    assert ((rows.difficulty > 0) & (rows.difficulty < 1)).all()


@pytest.mark.parametrize("source", ["own-people-en", "own-people-ja"])
def test_each_language_has_every_task(source: str) -> None:
    rows = load_prompts([str(PEOPLE)])
    counts = Counter(TASKS[task] for task, of in zip(rows.tasks, rows.sources, strict=True) if of == source)
    assert set(counts) == set(TASKS)


def test_no_prompt_is_a_copy_of_another_or_of_one_that_is_measured() -> None:
    texts = normalised_texts(PEOPLE)
    assert [text for text, times in Counter(texts).items() if times > 1] == []
    others = [path for path in {*own_corpus(), *held_out_corpus()} if path != str(PEOPLE)]
    assert set(texts) & {text for path in others for text in normalised_texts(path)} == set()
