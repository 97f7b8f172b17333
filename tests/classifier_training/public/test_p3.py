from __future__ import annotations

import pytest

from classifier_training.data.public.lists import sources
from classifier_training.data.public.readers import READERS
from router_backend.contract import TASKS


def test_a_template_has_one_task() -> None:
    rows = [{"prompt": "Paraphrase the sentence: It rains.\n"}, {"prompt": "Paraphrase the sentence: It rains.\n"}]
    found = list(READERS["p3"](rows, "p3_paws_labeled_final_paraphrase_task.jsonl"))
    assert found == [("Paraphrase the sentence: It rains.\n", "rewrite", "en")]


def test_each_file_of_the_list_has_a_task_and_forty_prompts_at_most() -> None:
    rows = [{"prompt": f"question {number}"} for number in range(100)]
    (p3,) = sources(["p3"])
    for file in p3.files:
        prompts = list(READERS["p3"](rows, file.name))
        assert len(prompts) == 40
        assert {task for _, task, _ in prompts} <= set(TASKS)


def test_a_template_that_is_not_in_the_list_is_an_error() -> None:
    with pytest.raises(KeyError):
        list(READERS["p3"]([{"prompt": "?"}], "p3_other.jsonl"))
