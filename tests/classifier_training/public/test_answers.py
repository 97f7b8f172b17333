"""Recorded answers of public collections: from files of a folder here, since tests have no network."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

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


def of_folder(folder: Path) -> list[Source]:
    """One file of each collection, as `folder` has it."""
    found = []
    for source in answer_sources():
        first = source.files[0]
        content = (ROUTELLM if source.name == "routellm" else ROUTERBENCH).encode()
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
    assert found.rows == {"routellm.csv": 2, "routerbench.csv": 1}
    right, bench = (rows(tmp_path / "answers" / name) for name in found.rows)
    assert right[0]["prompt"] == "Which is even?\nA. 1\nB. 2\nAnswer:"
    assert [row["Mixtral-8x7B__score"] for row in right] == ["0.0", "1.0"]
    assert right[1]["gpt-4__score"] == ""
    assert bench[0]["prompt"] == "Write a function.\nIt sorts."
    assert (bench[0]["llama__score"], bench[0]["llama__cost"], bench[0]["task"]) == ("0.5", "0.001", "mbpp")
    read = [load_routing([str(tmp_path / "answers" / "*.csv")], split) for split in ("train", "eval")]
    assert sum(len(examples) for examples in read) == 3


def test_a_prompt_has_the_split_that_all_files_of_answers_give_it() -> None:
    assert [split_of(prompt) for prompt in ("a", "b", "梅雨とは何か。")] == ["eval", "eval", "train"]


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
