"""Questions and instructions that people wrote for assistants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from classifier_training.data.public.readers.prompt import Prompt, Reader

# Of CLINC150's 150 intents those of its domain "small talk"; all others are commands to an assistant, or asked of one.
_SMALL_TALK = frozenset(
    [
        "greeting",
        "goodbye",
        "tell_joke",
        "where_are_you_from",
        "how_old_are_you",
        "what_is_your_name",
        "who_made_you",
        "thank_you",
        "what_can_i_ask_you",
        "what_are_your_hobbies",
        "do_you_have_pets",
        "are_you_a_bot",
        "meaning_of_life",
        "who_do_you_work_for",
        "fun_fact",
    ]
)


def _clinc150(content: dict[str, list[list[str]]], _: str) -> Iterator[Prompt]:
    for text, intent in content["train"]:
        yield text, "chatbot" if intent in _SMALL_TALK else "other", "en"


_DOLLY = {
    "open_qa": "open_qa",
    "general_qa": "open_qa",
    "closed_qa": "closed_qa",
    "classification": "classification",
    "brainstorming": "brainstorming",
    "information_extraction": "extraction",
    "summarization": "summarization",
    "creative_writing": "text_generation",
}


def _dolly(rows: list[dict[str, str]], _: str) -> Iterator[Prompt]:
    for row in rows:
        text = row["instruction"] + (f"\n\n{row['context']}" if row["context"] else "")
        yield text, _DOLLY[row["category"]], "en"


# Vicuna's questions and their Japanese translation. "fermi" asks for estimates, which are neither facts nor sums, and is left out.
_VICUNA = {
    "generic": "open_qa",
    "knowledge": "open_qa",
    "common-sense": "open_qa",
    "counterfactual": "open_qa",
    "roleplay": "chatbot",
    "coding": "code_generation",
    "math": "math",
    "writing": "text_generation",
}


def _vicuna(language: str) -> Reader:
    def read(rows: list[dict[str, Any]], _: str) -> Iterator[Prompt]:
        for row in rows:
            if row["category"] in _VICUNA:
                yield row["turns"][0], _VICUNA[row["category"]], language

    return read


# Its categories are wider than our tasks ("extraction" has ratings, "writing" has corrections), so its first turns were labelled one by
# one for this project; what could be two tasks is left out.
_MT_BENCH = {
    "text_generation": (*range(81, 89), 154),
    "brainstorming": (89, 155, 160),
    "rewrite": (90,),
    "chatbot": (91, 92, 98, 100),
    "math": (99, *range(111, 121)),
    "other": (101, 102, 104, 106, 107, 109),
    "code_generation": tuple(range(121, 131)),
    "classification": (131, 132),
    "extraction": (133, 135, 137, 139, 140),
    "open_qa": (*range(141, 147), *range(149, 154), *range(156, 160)),
}


def _mt_bench(rows: list[dict[str, Any]], _: str) -> Iterator[Prompt]:
    tasks = {number: task for task, numbers in _MT_BENCH.items() for number in numbers}
    return ((row["turns"][0], tasks[row["question_id"]], "en") for row in rows if row["question_id"] in tasks)


READERS: dict[str, Reader] = {
    "clinc150": _clinc150,
    "vicuna-bench": _vicuna("en"),
    "mt-bench": _mt_bench,
    "ja-vicuna-qa": _vicuna("ja"),
    "dolly": _dolly,
}
