"""Recorded answers of public collections: from files of a folder here, since tests have no network."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from classifier_training.data import DataError
from classifier_training.data.files import load_routing
from classifier_training.data.public.__main__ import main
from classifier_training.data.public.answers import ANSWER_READERS, split_of
from classifier_training.data.public.fetching import fetch_answers
from classifier_training.data.public.lists import Source, answer_sources

ROUTELLM = """prompt,mistralai/Mixtral-8x7B,gpt-4
"Which is even?
A. 1
B. 2
Answer:",False,True
Which is even?,True,
Which is even?,False,False
"""
ROUTERBENCH = """,sample_id,prompt,eval_name,meta/llama,gpt-4,meta/llama|total_cost,gpt-4|total_cost
0,mbpp.1,"['Write a function.\\nIt sorts.']",mbpp,0.5,1.0,0.001,0.02
"""
ZEROEVAL = [{"question": "How many?", "answer": "# 18", "output": ['{"reasoning": "6 * 3", "answer": "$18"}']}]
MMLU_PRO = [
    {"question_id": 1, "question": "Which is even?", "options": ["1", "2"], "answer": "B", "pred": "B"},
    {"question_id": 2, "question": "Which is odd?", "options": ["1", "2"], "answer": "A", "pred": None},
    {"question_id": 120, "question": "Worded otherwise in later files?", "options": ["No"], "answer": "A", "pred": "A"},
]
LLMROUTER = [{"question": "What is a key?", "scores": {"llama": 0.25, "qwen": 1.0}, "cluster_id": 2}]


def zipped(name: str, rows: list[dict[str, Any]]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, json.dumps(rows))
    return content.getvalue()


CONTENTS = {
    "routellm": ROUTELLM.encode(),
    "routerbench": ROUTERBENCH.encode(),
    "zeroeval": json.dumps(ZEROEVAL).encode(),
    "mmlu_pro": zipped("model_outputs.json", MMLU_PRO),
    "llmrouter": json.dumps(LLMROUTER).encode(),
}


def of_folder(folder: Path) -> list[Source]:
    """One file of each collection, as `folder` has it."""
    found = []
    for source in answer_sources():
        first = source.files[0]
        content = CONTENTS[source.name]
        (folder / first.name).write_bytes(content)
        found.append(replace(source, files=(replace(first, sha256=hashlib.sha256(content).hexdigest()),)))
    return found


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_collection_says_its_licence_where_it_is_and_how_it_is_read() -> None:
    for source in answer_sources():
        assert source.licence
        assert source.name in ANSWER_READERS
        for file in source.files:
            assert file.url.startswith("https://")
            assert len(file.sha256) == 64


def test_answers_become_files_that_training_reads(tmp_path: Path) -> None:
    found = fetch_answers(of_folder(tmp_path), tmp_path / "answers", tmp_path, download=False)
    assert found.rows == {
        "routellm.csv": 2,
        "routerbench.csv": 1,
        "zeroeval.csv": 1,
        "mmlu_pro.csv": 2,
        "llmrouter.csv": 1,
    }
    right, bench, zeroeval, mmlu_pro, llmrouter = (rows(tmp_path / "answers" / name) for name in found.rows)
    assert right[0]["prompt"] == "Which is even?\nA. 1\nB. 2\nAnswer:"
    assert [row["Mixtral-8x7B__score"] for row in right] == ["0.0", "1.0"]
    assert right[1]["gpt-4__score"] == ""
    assert bench[0]["prompt"] == "Write a function.\nIt sorts."
    assert (bench[0]["llama__score"], bench[0]["llama__cost"], bench[0]["task"]) == ("0.5", "0.001", "mbpp")
    assert zeroeval == [
        {
            "prompt": "How many?",
            "task": "gsm8k",
            "split": split_of("How many?"),
            "Meta-Llama-3-8B-Instruct__score": "1.0",
        }
    ]
    assert mmlu_pro[0]["prompt"] == "Which is even?\nA. 1\nB. 2"
    assert [row["Llama-2-7b-hf__score"] for row in mmlu_pro] == ["1.0", "0.0"]
    assert (llmrouter[0]["llama__score"], llmrouter[0]["qwen__score"]) == ("0.25", "1.0")
    read = [load_routing([str(tmp_path / "answers" / "*.csv")], split) for split in ("train", "eval")]
    assert sum(len(examples) for examples in read) == 7


def test_a_prompt_has_the_split_that_all_files_of_answers_give_it() -> None:
    assert [split_of(prompt) for prompt in ("a", "b", "梅雨とは何か。")] == ["eval", "eval", "train"]


def test_files_of_several_models_are_joined_by_the_prompt(tmp_path: Path) -> None:
    source = next(source for source in answer_sources() if source.name == "zeroeval")
    outputs = {"zeroeval_gsm_small.json": ["17", "no number"], "zeroeval_gsm_large.json": ["18", "3"]}
    files = []
    for name, answers in outputs.items():
        asked = [
            {"question": question, "answer": truth, "output": [json.dumps({"answer": answer})]}
            for question, truth, answer in zip(("How many?", "How old?"), ("18", "3"), answers, strict=True)
        ]
        content = json.dumps(asked if name.endswith("small.json") else asked[:1]).encode()
        (tmp_path / name).write_bytes(content)
        files.append(replace(source.files[0], name=name, sha256=hashlib.sha256(content).hexdigest()))
    fetch_answers([replace(source, files=tuple(files))], tmp_path / "answers", tmp_path, download=False)
    scores = [(row["small__score"], row["large__score"]) for row in rows(tmp_path / "answers" / "zeroeval.csv")]
    assert scores == [("0.0", "1.0"), ("0.0", "")]


@pytest.mark.parametrize(
    "content", [b"no archive", zipped("model_outputs.json", [{"question_id": 1, "question": "?"}])]
)
def test_an_archive_of_another_form_is_an_error(tmp_path: Path, content: bytes) -> None:
    source = next(source for source in answer_sources() if source.name == "mmlu_pro")
    file = replace(source.files[0], sha256=hashlib.sha256(content).hexdigest())
    (tmp_path / file.name).write_bytes(content)
    with pytest.raises(
        DataError, match=r"mmlu_pro_.*\.zip can't be read as a file of https://github.com/TIGER-AI-Lab/MMLU-Pro"
    ):
        fetch_answers([replace(source, files=(file,))], tmp_path / "answers", tmp_path, download=False)


def test_a_file_of_another_form_is_an_error(tmp_path: Path) -> None:
    wanted = [source for source in of_folder(tmp_path) if source.name == "routerbench"]
    name = wanted[0].files[0].name
    other = b"prompt,eval_name,m,m|total_cost\nno list,mbpp,1,0\n"
    (tmp_path / name).write_bytes(other)
    file = replace(wanted[0].files[0], sha256=hashlib.sha256(other).hexdigest())
    with pytest.raises(DataError, match=rf"{name} can't be read as a file of https://github.com/shuhao02/RouterDC"):
        fetch_answers([replace(wanted[0], files=(file,))], tmp_path / "answers", tmp_path, download=False)


def test_the_command_names_missing_files_of_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = [source for source in answer_sources() if source.name == "routerbench"]
    with pytest.raises(DataError, match=r"routerbench_mbpp_test\.csv is missing: save https://"):
        fetch_answers(wanted, tmp_path / "answers", tmp_path, download=False)
    assert main([]) == 0
    assert "routerbench: MIT, https://" in capsys.readouterr().out
