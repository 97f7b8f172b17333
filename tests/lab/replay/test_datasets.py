"""Files of recorded answers: what is read, what is dropped, what is refused and how."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from router_backend.lab.replay.datasets import DatasetError, load_routing_data


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "prompt": ["a", "b", "c"],
            "task": ["math", "math", "qa"],
            "small__score": [1.0, 0.0, 0.5],
            "small__cost": [0.1, 0.1, 0.1],
            "large__score": [1.0, 1.0, None],
            "large__cost": [1.0, 2.0, 1.0],
            "odd__score": [0.0, 0.0, 0.0],
        }
    )


def saved(folder: Path, table: pd.DataFrame, name: str = "answers.csv.gz") -> Path:
    path = folder / name
    if name.endswith("parquet"):
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["answers.csv.gz", "answers.parquet"])
def test_rows_without_every_score_are_dropped_and_counted(tmp_path: Path, name: str) -> None:
    data = load_routing_data(saved(tmp_path, frame(), name))
    assert data.models == ("small", "large")
    assert (len(data), data.dropped, data.name) == (2, 1, "answers")
    assert data.quality.tolist() == [[1.0, 1.0], [0.0, 1.0]]
    assert not data.train.any()


def test_models_come_in_the_order_asked_for_and_the_category_is_the_finer_group(tmp_path: Path) -> None:
    table = frame().assign(category=["algebra", "sums", "facts"], split=["train", "eval", "eval"])
    data = load_routing_data(saved(tmp_path, table), ["large", "small"])
    assert data.cost[0].tolist() == [1.0, 0.1]
    assert (list(data.tasks), list(data.groups)) == (["math", "math"], ["algebra", "sums"])
    assert data.train.tolist() == [True, False]


@pytest.mark.parametrize(
    ("change", "models", "message"),
    [
        ({}, ["small", "huge"], "no scores and costs of 'huge'; the file has small, large"),
        ({}, ["small"], "at least two different models"),
        ({"small__score": [7.0, 0.0, 0.0]}, None, "scores must lie in 0..1"),
        ({"small__cost": [-1.0, 0.0, 0.0]}, None, "costs must not be negative"),
        ({"split": ["test", "eval", "eval"]}, None, "train or eval, found 'test'"),
        ({"large__score": [None, None, None]}, None, "no row has scores and costs of all of small, large"),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_the_reason(
    tmp_path: Path, change: dict[str, list[object]], models: list[str] | None, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        load_routing_data(saved(tmp_path, frame().assign(**change)), models)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="needs the columns prompt, task"):
        load_routing_data(saved(tmp_path, pd.DataFrame({"x": [1]})))
    garbage = tmp_path / "x.parquet"
    garbage.write_bytes(b"no parquet")
    with pytest.raises(DatasetError, match="can't be read"):
        load_routing_data(garbage)
