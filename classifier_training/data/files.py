"""Read labelled prompts and routing records from CSV, JSON lines, Parquet, globs and Hugging Face data sets."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifier_training.data.examples import DataError, Examples
from router_backend.contract import TASKS

if TYPE_CHECKING:
    import pandas as pd

CORPUS = Path(__file__).parents[1] / "corpus"
# What the sources of the project's own corpus start with.
OWN_SOURCE = "own-"
_SCORE = "__score"
_HUGGING_FACE = "hf:"
# Fewer models' answers say little about how hard a prompt is.
_MODELS_FOR_DIFFICULTY = 5


def own_corpus() -> list[str]:
    """The project's own corpus; its held-out files are never trained on."""
    return [str(path) for path in sorted(CORPUS.glob("*.csv")) if not path.stem.startswith("heldout_")]


def held_out_corpus() -> list[str]:
    """The part of the own corpus that is measured on and never trained on."""
    return [str(path) for path in sorted(CORPUS.glob("heldout_*.csv"))]


def expand(patterns: Sequence[str]) -> list[str]:
    """Files that the patterns match, sorted; Hugging Face names ("hf:owner/name[:split]") pass through.

    Raises:
        DataError: a pattern matches nothing.
    """
    found: list[str] = []
    for pattern in patterns:
        matches = [pattern] if pattern.startswith(_HUGGING_FACE) else sorted(glob.glob(pattern, recursive=True))
        if not matches:
            raise DataError(f"no file matches '{pattern}'")
        found.extend(matches)
    return list(dict.fromkeys(found))


def read_table(name: str) -> pd.DataFrame:
    """One file, or one Hugging Face data set, as a table.

    Raises:
        DataError: unreadable, or of an unknown kind.
    """
    import pandas as pd

    try:
        if name.startswith(_HUGGING_FACE):
            return _hugging_face(name)
        if name.endswith((".csv", ".csv.gz")):
            return pd.read_csv(name)
        if name.endswith((".jsonl", ".jsonl.gz")):
            return pd.read_json(name, lines=True)
        if name.endswith(".parquet"):
            return pd.read_parquet(name)
    except (OSError, ValueError) as error:
        raise DataError(f"{name}: can't be read: {error}") from error
    raise DataError(f"{name}: unknown kind of file; use .csv, .csv.gz, .jsonl or .parquet")


def _hugging_face(name: str) -> pd.DataFrame:
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise DataError(f"{name}: Hugging Face data sets need the 'datasets' package: pip install datasets") from error
    owner_and_name, _, split = name.removeprefix(_HUGGING_FACE).partition(":")
    table: pd.DataFrame = load_dataset(owner_and_name, split=split or "train").to_pandas()
    return table


def _texts(table: pd.DataFrame, column: str, name: str) -> list[str]:
    if column not in table:
        raise DataError(f"{name}: no column '{column}'; it has {', '.join(map(str, table.columns[:12]))}")
    empty = table[column].isna()
    if empty.any():
        raise DataError(f"{name}: row {int(np.flatnonzero(empty)[0]) + 1} has no {column}")
    return [str(text) for text in table[column]]


def _strings(table: pd.DataFrame, column: str, default: str) -> Any:
    if column not in table:
        return np.array([default] * len(table), dtype=np.str_)
    return table[column].fillna(default).astype(str).to_numpy(dtype=np.str_)


def load_prompts(patterns: Sequence[str]) -> Examples:
    """Labelled prompts: columns `text`, `task`; optional `source`, `language`, `difficulty`.

    Raises:
        DataError: a file is missing or unreadable, a label is unknown, or a difficulty is outside [0, 1].
    """
    return Examples.join([_prompts(name) for name in expand(patterns)])


def _prompts(name: str) -> Examples:
    table = read_table(name)
    texts = _texts(table, "text", name)
    labels = _texts(table, "task", name)
    index = {task: number for number, task in enumerate(TASKS)}
    for row, label in enumerate(labels):
        if label not in index:
            raise DataError(f"{name}: row {row + 1}: unknown task '{label}'; one of {', '.join(TASKS)}")
    difficulty = np.full(len(texts), np.nan, dtype=np.float32)
    if "difficulty" in table:
        difficulty = table["difficulty"].to_numpy(dtype=np.float32)
        outside = (difficulty < 0) | (difficulty > 1)
        if outside.any():
            raise DataError(f"{name}: row {int(np.flatnonzero(outside)[0]) + 1}: difficulty is outside [0, 1]")
    return Examples(
        texts,
        np.array([index[label] for label in labels], dtype=np.int64),
        _strings(table, "source", Path(name).name),
        _strings(table, "language", ""),
        difficulty,
        np.empty((len(texts), 0), dtype=np.float32),
    )


def load_routing(patterns: Sequence[str], split: str = "train") -> Examples:
    """Routing records: `prompt`, `split`, and for each model `<model>__score` in [0, 1].

    Difficulty is one minus the mean score, where at least five models answered.

    Args:
        patterns: files.
        split: which rows; whatever is trained sees "train" rows only.

    Raises:
        DataError: a file has no `split` or no score columns.
    """
    return Examples.join([_routing(name, split) for name in expand(patterns)])


def _routing(name: str, split: str) -> Examples:
    table = read_table(name)
    columns = [column for column in table if str(column).endswith(_SCORE)]
    if "split" not in table or not columns:
        raise DataError(f"{name}: routing data needs the columns 'prompt', 'split' and '<model>{_SCORE}'")
    table = table[table["split"] == split]
    texts = _texts(table, "prompt", name)
    success = np.clip(table[columns].to_numpy(dtype=np.float32), 0, 1)
    known = (~np.isnan(success)).sum(axis=1)
    difficulty = np.full(len(texts), np.nan, dtype=np.float32)
    enough = known >= _MODELS_FOR_DIFFICULTY
    difficulty[enough] = 1 - np.nanmean(success[enough], axis=1)
    return Examples(
        texts,
        np.full(len(texts), -1, dtype=np.int64),
        np.array([Path(name).name.split(".")[0]] * len(texts), dtype=np.str_),
        np.array(["en"] * len(texts), dtype=np.str_),
        difficulty,
        success,
        tuple(str(column).removesuffix(_SCORE) for column in columns),
    )
