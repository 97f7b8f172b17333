"""Which answers of ZeroEval count as right: its rules, on outputs made up here."""

from __future__ import annotations

import pytest

from classifier_training.data.public.zeroeval import is_right

LLAMA = "Meta-Llama-3.1-8B-Instruct"


@pytest.mark.parametrize(
    ("output", "truth", "right"),
    [
        ('{"reasoning": "…", "answer": "18"}', "# 18", True),
        ('Here it is:\n{\n "reasoning": "a\nb",\n "answer": 18\n}\nDone.', "18", True),
        ('{"answer": "$1,800.00 a year"}', "1800", True),
        ('{"answer": "3/4"}', "0.75", True),
        ('{"answer": "1/0"}', "1", True),  # no number by another: its first number counts
        ('{"answer": "__import__(\'os\').getpid() / 1"}', "1", True),  # never run as code
        ('{"answer": "17"}', "18", False),
        ('{"answer": "none"}', "18", False),
        ("I don't know.", "18", False),
        ('{"reasoning": "a {b} c", "answer": "18"', "18", True),  # not closed: read loosely
        ('{"reasoning": "she said "no"", "answer": "18"}', "18", True),
        ('{"reasoning": "…", answer: 18}', "18", True),
        ("} Nothing opens. answer: 18", "18", True),
        ("So it is $\\boxed{18}$", "18", False),
    ],
)
def test_numbers_are_compared_by_the_first_of_each(output: str, truth: str, right: bool) -> None:
    assert is_right(output, truth, "gpt-4o", numbers=True) is right


@pytest.mark.parametrize(
    ("output", "truth", "right"),
    [
        ("""{"answer": "'abc'"}""", "'abc'", True),
        ("""{"answer": "abc"}""", "'abc'", True),
        ("""{"answer": "[1, 2]"}""", "[1, 2]", True),
        ("""{"answer": "[1,2]"}""", "[1, 2]", False),
        ("""{"answer": "a\\nb"}""", "'a\\nb'", True),
        ("""{"answer": ""}""", "''", True),
        ("no answer at all", "''", False),
    ],
)
def test_literals_are_compared_as_texts(output: str, truth: str, right: bool) -> None:
    assert is_right(output, truth, "gpt-4o", numbers=False) is right


def test_llama_may_box_its_answer() -> None:
    assert is_right("So it is $\\boxed{18}$", "18", LLAMA, numbers=True)
    assert not is_right("So it is $\\boxed{17}$", "18", LLAMA, numbers=True)
    assert not is_right("\\boxed{18} came first, and then a good deal more was said.", "18", LLAMA, numbers=True)
