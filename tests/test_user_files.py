"""Whoever reads a user's file reads text as text, and says where it is wrong."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier_training.data.files import load_prompts
from classifier_training.evaluation.feedback_log import evaluate_log
from router_backend.lab.replay.datasets import load_routing_data
from router_backend.user_files import DataError, json_objects, read_table

TEXTS = [
    "0042",
    "None",
    "N/A",
    "nan",
    "NULL",
    "1e5",
    "True",
    "2024-01-01",
    "before\0after",
    " ",
    'a "b", c\nd',
    "#x",
    "東京",
]


def written(folder: Path, name: str, rows: list[dict[str, Any]], mark: bytes = b"") -> Path:
    """Rows as CSV or JSON lines, with each text quoted."""
    if "csv" in name.lower():
        cells = [list(rows[0]), *(row.values() for row in rows)]
        quoted = [[f'"{str(cell).replace(chr(34), chr(34) * 2)}"' for cell in line] for line in cells]
        content = "".join(",".join(line) + "\n" for line in quoted)
    else:
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    data = mark + content.encode()
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.lower().endswith(".gz") else data)
    return path


def trained_on(path: Path) -> list[str]:
    return load_prompts([str(path)]).texts


def replayed(path: Path) -> list[str]:
    return list(load_routing_data(path).prompts)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["x.csv", "x.CSV", "x.csv.gz", "x.jsonl", "x.JSONL.GZ"])
@pytest.mark.parametrize("read", [trained_on, replayed])
def test_text_is_text(tmp_path: Path, read: Callable[[Path], list[str]], name: str, mark: bytes) -> None:
    rows = [
        {"text": text, "prompt": text, "task": "math", "a__score": 1, "a__cost": 1, "b__score": 1, "b__cost": 2}
        for text in TEXTS
    ]
    assert read(written(tmp_path, name, rows, mark)) == TEXTS


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5))
def test_whatever_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("files")
    for name in ("x.csv", "x.jsonl"):
        path = written(folder, name, [{"text": text} for text in texts])
        assert read_table(path).texts("text") == texts


def test_a_number_may_be_missing_and_is_named_with_its_line_where_it_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('text,task,difficulty\n"two\nlines",math,\nb,math,N/A\nc,math,hard\n')
    with pytest.raises(DataError, match=r"x\.csv:5: row 3: difficulty is 'hard', which is no number"):
        load_prompts([str(path)])


@pytest.mark.parametrize("value", ["inf", "-0.1", "1.5"])
def test_a_difficulty_out_of_range_is_refused(tmp_path: Path, value: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"text,task,difficulty\na,math,{value}\n")
    with pytest.raises(DataError, match=r"x\.csv:2: row 1: difficulty is .*outside \[0, 1\]"):
        load_prompts([str(path)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text,task\na,b,math\n", r"x\.csv:2: 3 cells, but 2 columns"),
        (b'text,task\na,math\n"never closed,math\n', r"x\.csv:3: this row can't be read"),
        (b"text,text\na,b\n", "two columns have the same name"),
        (b"text,task\n\xff\xfe,math\n", "not UTF-8"),
        (b"", "no column 'text'"),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_prompts([str(path)])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": 42, "task": "math"}', r"x\.jsonl:3: row 2: text is 42, which is no text"),
        ('{"text": "\\ud83d", "task": "math"}', "half a character"),
        ('{"text": null, "task": "math"}', r"x\.jsonl:3: row 2 has no text"),
        ("[1]", r"x\.jsonl: line 3: not a JSON object"),
        ("{", r"x\.jsonl: line 3: no JSON"),
    ],
)
def test_a_wrong_json_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a", "task": "math"}\n\n' + line + "\n")
    with pytest.raises(DataError, match=message):
        load_prompts([str(path)])


def test_a_line_ends_with_its_line_feed_alone(tmp_path: Path) -> None:
    """A line separator of Unicode may stand in a JSON text."""
    path = written(tmp_path, "x.jsonl", [{"a": "one\u2028two\x85three"}, {"a": "b"}], b"\xef\xbb\xbf")
    assert [row["a"] for _, _, row in json_objects(path)] == ["one\u2028two\x85three", "b"]
    log = written(tmp_path, "log.jsonl", [{"task_label": "math", "task": "math", "source": "\u2028"}], b"\xef\xbb\xbf")
    assert evaluate_log(log)["rows"] == {"decisions": 1, "labelled": 1}


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown kind of file; use \.csv"):
        load_routing_data(tmp_path / "x.xlsx")
