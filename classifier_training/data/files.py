"""Read labelled prompts and routing records from CSV, JSON lines, Parquet, globs and Hugging Face data sets."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from classifier_training.data.examples import Examples
from router_backend import distribution
from router_backend.contract import TASKS
from router_backend.user_files import DataError, Table, from_frame, read_table, read_yaml, repeated

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


def _read(name: str) -> Table:
    if not name.startswith(_HUGGING_FACE):
        return read_table(name)
    try:
        from datasets import load_dataset
    except ImportError as error:
        needed = distribution.add_packages("datasets")
        raise DataError(f"{name}: Hugging Face data sets need the 'datasets' package: {needed}") from error
    owner_and_name, _, split = name.removeprefix(_HUGGING_FACE).partition(":")
    return from_frame(name, load_dataset(owner_and_name, split=split or "train").to_pandas())


@dataclass(frozen=True, slots=True)
class Columns:
    """How files of labelled prompts name things.

    Attributes:
        tasks: what the files' labels mean; a label that isn't there stands for the task of its name, None for a row
            that is left out.
        known: the tasks there are, in the order of an artifact's probabilities.
    """

    text: str = "text"
    label: str = "task"
    tasks: Mapping[str, str | None] = field(default_factory=dict)
    known: tuple[str, ...] = TASKS

    @staticmethod
    def of(text: str, label: str, label_map: Path | None, known: tuple[str, ...] = TASKS) -> Columns:
        """With the meanings in a YAML file, a line each: `their label: task`, or nothing behind it to leave rows out.

        Raises:
            DataError: the file is no such mapping, or names a task that isn't one.
        """
        if label_map is None:
            return Columns(text, label, known=known)
        try:
            tree, tasks = read_yaml(label_map.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise DataError(f"{label_map}: can't be read ({' '.join(str(error).split())})") from error
        for line, name in repeated(tree):
            raise DataError(f"{label_map}:{line}: {name} stands here twice; keep one")
        if not isinstance(tasks, dict):
            raise DataError(f"{label_map}: give a line for each label, such as `bug report: classification`")
        for name, task in tasks.items():
            if task is not None and task not in known:
                raise DataError(f"{label_map}: '{name}' means '{task}', which is no task; one of {', '.join(known)}")
        return Columns(text, label, {str(name): task for name, task in tasks.items()}, known)


USUAL_COLUMNS = Columns()


def load_prompts(patterns: Sequence[str], columns: Columns = USUAL_COLUMNS) -> Examples:
    """Labelled prompts: a text and a label in each row; optional `source`, `language`, `difficulty`.

    Raises:
        DataError: a file is missing or unreadable, a label is unknown, or a difficulty is outside [0, 1].
    """
    return Examples.join([_prompts(name, columns) for name in expand(patterns)])


def _prompts(name: str, columns: Columns) -> Examples:
    table = _read(name)
    index = {task: number for number, task in enumerate(columns.known)}
    table.require(columns.text, columns.label)
    # Where labels have meanings, they may be numbers.
    given = table.labels(columns.label) if columns.tasks else table.texts(columns.label)
    tasks: list[int] = []
    kept: list[int] = []
    for row, label in enumerate(given):
        task = columns.tasks.get(label, label)
        if task is None:
            continue
        if task not in index:
            raise DataError(
                f"{table.where(row)}: unknown task '{task}'; one of {', '.join(columns.known)}, or say with --label-map what it means"
            )
        tasks.append(index[task])
        kept.append(row)
    table = table.select(kept)
    texts = table.texts(columns.text)
    difficulty = np.full(len(texts), np.nan)
    if "difficulty" in table.columns:
        difficulty = table.numbers("difficulty", 0, 1)
    return Examples(
        texts,
        np.array(tasks, dtype=np.int64),
        np.array(table.labels("source", Path(name).name), dtype=np.str_),
        np.array(table.labels("language"), dtype=np.str_),
        difficulty.astype(np.float32),
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
    table = _read(name)
    columns = [column for column in table.columns if column.endswith(_SCORE)]
    if "split" not in table.columns or not columns:
        raise DataError(f"{name}: routing data needs the columns 'prompt', 'split' and '<model>{_SCORE}'")
    table = table.select([row for row, value in enumerate(table.columns["split"]) if value == split])
    texts = table.texts("prompt")
    success = np.clip(np.column_stack([table.numbers(column) for column in columns]), 0, 1).astype(np.float32)
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
        tuple(column.removesuffix(_SCORE) for column in columns),
    )
