"""Tasks that are described at length: each becomes a prompt of the task that its answer belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from classifier_training.data.public.readers import instructions
from classifier_training.data.public.readers.instructions import READERS
from router_backend.contract import TASKS

TEXT = "Sentence: Anna has lived by the sea since May.\nQuestion: How long will she stay?"


def prompts(tasks: dict[str, tuple[str, str]]) -> list[tuple[str, str, str]]:
    """Prompts of a file in which each task has a definition and an input."""
    content = {
        name: {"definition": definition, "positive_examples": {"input": text}}
        for name, (definition, text) in tasks.items()
    }
    return list(READERS["super-natural-instructions"](f'"""All tasks."""\nMETA = {content!r}\n', "x.txt"))


def test_a_definition_and_its_example_are_a_prompt() -> None:
    [(prompt, task, language)] = prompts(
        {"task111_asset_sentence_simplification": ("Make it simple.", "He dwelt there .")}
    )
    assert (task, language) == ("rewrite", "en")
    assert "Make it simple." in prompt
    assert "He dwelt there." in prompt


def test_tasks_that_are_not_listed_are_left_out_and_translations_are_other() -> None:
    found = prompts(
        {
            "task17_mctaco_wrong_answer_generation_frequency": ("Write a wrong answer.", TEXT),
            "task250_spl_translation_en_ar": ("Translate it.", "Good day"),
            "task1040_alt_de_en_translation": ("Translate it.", "Guten Tag"),
        }
    )
    assert [(task, "Guten Tag" in prompt) for prompt, task, _ in found] == [("other", True)]


def test_what_is_too_long_is_left_out() -> None:
    assert not prompts({"task111_asset_sentence_simplification": ("Make it simple.", "x" * 4_001)})


def test_no_task_is_two_of_ours() -> None:
    tasks = yaml.safe_load(Path(instructions.__file__).with_name("instructions.yaml").read_text("utf-8"))
    assert set(tasks) <= set(TASKS)
    assert len(set().union(*tasks.values())) == sum(map(len, tasks.values()))


@pytest.mark.parametrize(
    "module",
    [
        "META = {'task1_a': {}}",
        "META = open('x')",
    ],
)
def test_another_form_is_an_error(module: str) -> None:
    with pytest.raises((KeyError, ValueError)):
        list(READERS["super-natural-instructions"](module, "x.txt"))
