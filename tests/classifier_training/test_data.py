from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier_training.data import DataError, Examples
from classifier_training.data.files import Columns, load_prompts, load_routing
from classifier_training.text import batches, pad
from classifier_training.training.pipeline import TrainOptions, train
from router_backend.contract import TASKS


def examples(texts: list[str], source: str = "s", models: tuple[str, ...] = ()) -> Examples:
    return Examples(
        texts,
        np.zeros(len(texts), dtype=np.int64),
        np.array([source] * len(texts), dtype=np.str_),
        np.array(["en"] * len(texts), dtype=np.str_),
        np.full(len(texts), np.nan, dtype=np.float32),
        np.ones((len(texts), len(models)), dtype=np.float32),
        models,
    )


@given(st.lists(st.text(), min_size=1, max_size=50))
def test_a_text_is_in_the_same_split_wherever_it_stands(texts: list[str]) -> None:
    there = examples(texts).splits()
    back = examples(texts[::-1]).splits()[::-1]
    assert there.tolist() == back.tolist()


def test_splits_have_their_shares() -> None:
    splits = examples([f"prompt {index}" for index in range(5000)]).splits()
    assert 0.06 < (splits == "test").mean() < 0.10
    assert 0.03 < (splits == "calibration").mean() < 0.05


def test_models_of_the_same_name_share_a_column() -> None:
    joined = Examples.join([examples(["a"], models=("x", "y")), examples(["b"], models=("y", "z")), examples(["c"])])
    assert joined.models == ("x", "y", "z")
    np.testing.assert_array_equal(
        joined.success, np.array([[1, 1, np.nan], [np.nan, 1, 1], [np.nan] * 3], dtype=np.float32)
    )


def test_balance_limits_each_source_and_task_and_is_fixed_by_the_seed() -> None:
    rows = Examples.join([examples([f"a{i}" for i in range(50)], "big"), examples(["b1", "b2"], "small")])
    first, second = rows.balance(10, seed=3), rows.balance(10, seed=3)
    assert first.texts == second.texts
    assert np.unique(first.sources, return_counts=True)[1].tolist() == [10, 2]


def test_the_own_corpus_can_count_more_often() -> None:
    rows = Examples.join([examples(["a"], "own-en"), examples(["b"], "dolly")]).repeat("own-", 3)
    assert sorted(rows.texts) == ["a", "a", "a", "b"]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=80), st.integers(60, 300), st.integers(0, 5))
def test_batches_hold_every_row_once_within_the_token_budget(lengths: list[int], tokens: int, seed: int) -> None:
    found = batches(lengths, tokens, np.random.default_rng(seed))
    assert sorted(np.concatenate(found).tolist()) == list(range(len(lengths)))
    assert all(max(lengths[row] for row in batch) * len(batch) <= tokens for batch in found)


def test_padding_is_masked() -> None:
    ids, mask = pad([[5, 6, 7], [8]], pad_id=1)
    assert ids.tolist() == [[5, 6, 7], [8, 1, 1]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,task\nhi,greeting\n", "row 1: unknown task 'greeting'"),
        ("prompt,task\nhi,math\n", "no column 'text'"),
        ("text,task\n,math\n", "row 1 has no text"),
        ("text,task,difficulty\nhi,math,3\n", "outside"),
    ],
)
def test_bad_files_are_named_with_their_row(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "prompts.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        load_prompts([str(path)])


def test_training_on_equal_rows_is_refused_before_it_starts(tmp_path: Path) -> None:
    path = tmp_path / "equal.csv"
    path.write_text("text,task\n" + "hi,chatbot\n" * 40)
    options = TrainOptions(tmp_path / "out", data=(str(path),), own_corpus=False, encoder="not even looked for")
    with pytest.raises(DataError, match="40 rows with 1 different texts are too few"):
        train(options)


def test_a_pattern_without_files_is_an_error() -> None:
    with pytest.raises(DataError, match="no file matches 'nowhere"):
        load_prompts(["nowhere/*.csv"])


def test_files_keep_their_own_columns_and_labels(tmp_path: Path) -> None:
    path, meanings = tmp_path / "tickets.csv", tmp_path / "labels.yaml"
    path.write_text("body,team\nwhy is it slow?,7\nhi,smalltalk\ntotal of 3 and 4?,math\nspam spam,junk\n")
    meanings.write_text("7: open_qa\nsmalltalk: chatbot\njunk:\n")
    rows = load_prompts([str(path)], Columns.of("body", "team", meanings))
    assert rows.texts == ["why is it slow?", "hi", "total of 3 and 4?"]
    assert [TASKS[task] for task in rows.tasks] == ["open_qa", "chatbot", "math"]


@pytest.mark.parametrize(
    ("meanings", "message"),
    [
        ("a: gardening", "'a' means 'gardening', which is no task; one of brainstorming"),
        ("- a", "give a line for each label"),
        ("a: math\na: other", r"labels\.yaml:2: a stands here twice"),
        ("[" * 2000 + "]" * 2000, "nested more than 100 levels deep"),
        ("b: math", r"tickets\.csv:2: row 1: unknown task 'a'.*--label-map"),
        ("", "give a line for each label"),
    ],
)
def test_a_map_that_can_not_be_used_is_named(tmp_path: Path, meanings: str, message: str) -> None:
    path, file = tmp_path / "tickets.csv", tmp_path / "labels.yaml"
    path.write_text("text,team\nhi,a\n")
    file.write_text(meanings)
    with pytest.raises(DataError, match=message):
        load_prompts([str(path)], Columns.of("text", "team", file))


def test_text_and_task_are_enough(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("text,task\nhi,chatbot\n")
    rows = load_prompts([str(path)])
    assert rows.sources.tolist() == ["mine.csv"]
    assert np.isnan(rows.difficulty).all()


def test_few_models_say_nothing_about_difficulty(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    path.write_text("prompt,split,a__score,b__score\nhi,train,1,0\nho,eval,1,0\n")
    rows = load_routing([str(path)])
    assert rows.texts == ["hi"]
    assert np.isnan(rows.difficulty).all()
