"""English collections: a file in the form of each becomes prompts with the task that a person wants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from classifier_training.data.public import lists
from classifier_training.data.public.readers import pasted
from classifier_training.data.public.readers.english import READERS
from classifier_training.data.public.readers.pasted import LONGEST, asked, column, sentence
from router_backend.contract import TASKS

LONG = "The bridge in Lyon was opened in 1890 by Anna Keller and closed again after the flood of that year. "
CODE = {
    "declaration": "\ndef double(x):\n",
    "buggy_solution": "    return x * 3\n",
    "canonical_solution": "    return x * 2\n",
}
TALK = [{"message": "I love old trains. Do you?"}, {"message": "Who built the first engine?"}]
MEETING = {
    "topic_list": [{"topic": "budget", "relevant_text_span": [["0", "1"]]}],
    "specific_query_list": [
        {"query": "Summarize the talk about money.", "relevant_text_span": [["0", "1"]]},
        {"query": "What did Ann say about money?", "relevant_text_span": [["0", "1"]]},
    ],
    "meeting_transcripts": [
        {"speaker": "Ann", "content": "{vocalsound} We have spent too much . " + LONG},
        {"speaker": "Bob", "content": "Mm-hmm . " + LONG},
    ],
}


def tasks(source: str, content: Any, name: str) -> list[tuple[str, str]]:
    rows = list(READERS[source](content, name))
    assert rows == list(READERS[source](content, name)), "another reading gives other rows"
    assert all(text.strip() and task in TASKS and language == "en" for text, task, language in rows)
    return [(text, task) for text, task, _ in rows]


def test_every_source_of_the_list_has_a_reader() -> None:
    listed = yaml.safe_load((Path(lists.__file__).parent / "sources" / "english.yaml").read_text("utf-8"))
    assert set(listed) == set(READERS)


@pytest.mark.parametrize(
    ("source", "content", "name", "expected"),
    [
        (
            "big-bench-hard",
            {"examples": [{"input": "not True is", "target": "False"}]},
            "bbh_x.json",
            [("not True is", "other")],
        ),
        (
            "agieval",
            [{"question": "What is 2 + 3?", "passage": None, "options": None}],
            "agieval_math.jsonl",
            [("What is 2 + 3?", "math")],
        ),
        ("mbpp", [{"text": "Write a function."}], "mbpp.jsonl", [("Write a function.", "code_generation")]),
        ("topical-chat", {"t1": {"content": TALK}}, "topical-chat_freq.json", [(TALK[0]["message"], "chatbot")]),
        (
            "bfcl-live",
            [
                {"question": [[{"role": "user", "content": "Send a taxi to my house"}]]},
                {"question": [[{"role": "user", "content": "Who was Newton?"}]]},
                {"question": [[{"role": "system", "content": "Be nice"}, {"role": "user", "content": "Hi"}]]},
            ],
            "bfcl_live_simple.jsonl",
            [("Send a taxi to my house", "other")],
        ),
        (
            "writingbench",
            [{"query": "Here's the English translation:\n\nWrite a tale."}, {"query": "Write a summary of it."}],
            "writingbench_length.jsonl",
            [("Write a tale.", "text_generation")],
        ),
        (
            "arena-hard",
            [
                {"subcategory": "coding", "prompt": "Fix the bug in my python parser"},
                {"subcategory": "coding", "prompt": "Explain the code to me"},
                {"subcategory": "creative_writing", "prompt": "Écris une scène: \u00e9\u00e9\u00e9\u00e9 a story"},
            ],
            "arena-hard-v2.jsonl",
            [("Fix the bug in my python parser", "code_generation")],
        ),
        (
            "gpteacher",
            [
                {"instruction": "You are a dragon. What do you feel?", "input": ""},
                {"instruction": "You are a bard. Write a song.", "input": ""},
            ],
            "gpteacher_roleplay.json",
            [("You are a dragon. What do you feel?", "chatbot")],
        ),
        (
            "gpteacher",
            [{"instruction": "Fix this", "input": "x = "}, {"instruction": "Explain loops", "input": ""}],
            "gpteacher_codegen.json",
            [("Fix this\n\nx =", "code_generation")],
        ),
        (
            "awesome-chatgpt-prompts",
            '"act","prompt"\n"Friend","I want you to act as a friend."\n"Poet","I want you to act as a poet."\n',
            "awesome-chatgpt-prompts.csv",
            [("I want you to act as a friend.", "chatbot")],
        ),
    ],
)
def test_rows_are_prompts(source: str, content: Any, name: str, expected: list[tuple[str, str]]) -> None:
    assert tasks(source, content, name) == expected


@pytest.mark.parametrize(
    ("source", "content", "name", "text"),
    [
        ("banking77", f"text,category\n{LONG},card_arrival\n", "banking77.csv", LONG),
        ("goemotions", f"text\tlabel\tid\n{LONG}\t1\tx\n", "goemotions_dev.tsv", LONG),
        ("crossner", "\n".join(f"{word}\tO" for word in LONG.split()) + "\n\n", "crossner_music.txt", LONG),
        ("wnut17", "\n".join(f"{word}\tO" for word in LONG.split()) + "\n\n", "wnut17_dev.conll", LONG),
        ("disfl-qa", {"1": {"original": "x", "disfluent": LONG}}, "disfl-qa_dev.json", LONG),
        ("wiki-split", f"{LONG}\t{LONG}\n", "wiki-split_test.tsv", LONG),
        ("wiki-conciseness", f"{LONG}\tshort\tshorter\thttp://x\n", "wiki-conciseness.tsv", LONG),
        ("scitldr", [{"source": [LONG, LONG]}], "scitldr_dev.jsonl", LONG),
        ("legal-summarization", {"a": {"original_text": LONG * 2}}, "legal-summarization.json", LONG),
        ("onestop-english", "\ufeff" + f"{LONG * 4}\n" * 3, "onestop_x.txt", LONG),
        ("wikitables", '"Year","Name"\n"1990","A \\"B\\" C"\n"1991","D"\n', "wikitables_200-0.csv", "1990"),
    ],
)
def test_texts_come_under_instructions(source: str, content: Any, name: str, text: str) -> None:
    found = tasks(source, content, name)
    assert found
    assert all(text.strip() in prompt and prompt != text.strip() for prompt, _ in found)


def test_the_same_code_is_fixed_and_explained() -> None:
    (fix, first), (explain, second) = tasks("humanevalpack", [CODE], "humanevalpack_python.jsonl")
    assert (first, second) == ("code_generation", "other")
    assert "x * 3" in fix
    assert "x * 2" in explain


def test_a_meeting_is_summed_up_or_asked_about() -> None:
    found = tasks("qmsum", [MEETING], "qmsum_val.jsonl")
    assert [task for _, task in found] == ["summarization", "summarization", "closed_qa"]
    assert all("Ann: We have spent too much." in text for text, _ in found)


def test_a_command_is_also_a_text_to_label() -> None:
    rows = {
        "PlayMusic": [
            {"data": [{"text": f"play song {n} by "}, {"text": "Ann", "entity": "artist"}]} for n in range(30)
        ]
    }
    found = tasks("snips", rows, "snips_PlayMusic.json")
    assert ("play song 3 by Ann", "other") in found
    assert {"classification", "extraction", "rewrite"} & {task for _, task in found}


def test_questions_of_facts_stand_alone() -> None:
    rows = "".join(f"Where does the river {chr(97 + n)}{chr(97 + n)} end ?\t0.8\n" for n in range(26))
    found = tasks("query-wellformedness", rows, "query-wellformedness_dev.tsv")
    assert "open_qa" in {task for _, task in found}
    assert not [text for text, task in found if task == "open_qa" and not text.startswith("Where")]


def test_a_text_comes_under_several_tasks_first() -> None:
    found = list(asked("article", LONG, times=6))
    assert len({task for _, task, _ in found}) == 6


def test_every_instruction_can_be_filled_in() -> None:
    given = pasted._instructions()
    for kind in given.keys() - {"words", "openings", "closings"}:
        many = sum(map(len, given[kind].values()))
        prompts = list(asked(kind, LONG, times=many, types="towns", labels="a, b"))
        assert len(prompts) == many
        assert not [text for text, _, _ in prompts if "{language}" in text or "{n}" in text or "{many}" in text]


def test_what_would_be_too_long_is_left_out() -> None:
    assert not list(asked("article", "x" * LONGEST))


def test_tokens_become_a_sentence() -> None:
    assert (
        sentence(["He", "said", ",", '"', "I", "do", "n't", '"', "(", "sic", ")", "."]) == 'He said, "I don\'t" (sic).'
    )
    assert list(column("A\tO\nB\tO\n\nC\tO\n")) == [["A", "B"], ["C"]]


@pytest.mark.parametrize("source", ["agieval", "scitldr", "humanevalpack", "qmsum"])
def test_another_form_is_an_error(source: str) -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        list(READERS[source](json.loads('[{"something": "else"}]'), "agieval_math.jsonl"))


def test_what_is_measured_on_elsewhere_is_left_out() -> None:
    assert not tasks("agieval", [{"question": "2+2=?", "passage": None, "options": None}], "agieval_math.jsonl")
    assert not tasks(
        "bfcl-live", [{"question": [[{"role": "user", "content": "Order me a taxi"}]]}], "bfcl_live_simple.jsonl"
    )
