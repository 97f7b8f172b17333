"""Tables, JSON lines and YAML that users give: text stays text, and what is wrong is named with its file and line.

CSV is read without guessing types: `0042`, `None` and `N/A` are texts like others, and a number is one where a number is asked for.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import yaml
from numpy.typing import NDArray

MOST_LEVELS = 100
"""Of lists and mappings in each other in a YAML file."""
KINDS = ".csv, .jsonl or .parquet (.csv.gz and .jsonl.gz too)"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# How a missing number may be written; in a text these are texts.
_MISSING = frozenset({"", "na", "n/a", "nan", "none", "null"})


class DataError(ValueError):
    """A user's file that can't be used; the message names the file, the line or row, and the reason."""


@dataclass(slots=True)
class Table:
    """Columns of equal length; a missing cell is None, or an empty text in CSV.

    Attributes:
        lines: of each row in its file, from 1; empty where a file has no lines.
    """

    name: str
    columns: dict[str, list[Any]]
    lines: list[int]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def where(self, row: int) -> str:
        """The place of a row for a message, from 0."""
        line = f":{self.lines[row]}" if self.lines else ""
        return f"{self.name}{line}: row {row + 1}"

    def select(self, rows: Sequence[int]) -> Table:
        """Some rows; their lines go with them."""
        columns = {name: [values[row] for row in rows] for name, values in self.columns.items()}
        return Table(self.name, columns, [self.lines[row] for row in rows] if self.lines else [])

    def require(self, *columns: str) -> None:
        """Raises DataError where a column is missing."""
        for column in columns:
            if column not in self.columns:
                raise DataError(f"{self.name}: no column '{column}'; it has {', '.join(list(self.columns)[:12])}")

    def texts(self, column: str) -> list[str]:
        """A column in which every row has a text.

        Raises:
            DataError: no such column, a row without a text, or with something else than text.
        """
        self.require(column)
        for row, value in enumerate(self.columns[column]):
            if _is_missing(value) or value == "":
                raise DataError(f"{self.where(row)} has no {column}")
            self._check_text(row, column, value)
        return self.columns[column]

    def labels(self, column: str, default: str = "") -> list[str]:
        """A column that may be absent or have gaps; numbers in it are names like others."""
        values = self.columns.get(column, [None] * len(self))
        return [default if _is_missing(value) or value == "" else str(value) for value in values]

    def _check_text(self, row: int, column: str, value: Any) -> None:
        if not isinstance(value, str):
            raise DataError(f"{self.where(row)}: {column} is {value!r}, which is no text; put it into quotes")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise DataError(f"{self.where(row)}: {column} holds half a character (a lone surrogate)")

    def numbers(self, column: str, low: float = -math.inf, high: float = math.inf) -> NDArray[np.float64]:
        """[rows], NaN where there is none; low and high are allowed themselves.

        Raises:
            DataError: a cell that is no number, is infinite or lies outside low..high.
        """
        numbers = np.full(len(self), np.nan)
        for row, value in enumerate(self.columns[column]):
            number = self._number(row, column, value)
            if math.isinf(number) or number < low or number > high:
                raise DataError(f"{self.where(row)}: {column} is {value}, outside {_range(low, high)}")
            numbers[row] = number
        return numbers

    def _number(self, row: int, column: str, value: Any) -> float:
        if _is_missing(value) or (isinstance(value, str) and value.strip().lower() in _MISSING):
            return math.nan
        try:
            if isinstance(value, (bool, np.bool_)):
                raise ValueError
            return float(value)
        except (TypeError, ValueError):
            raise DataError(f"{self.where(row)}: {column} is {str(value)[:40]!r}, which is no number") from None


def _range(low: float, high: float) -> str:
    return f"[{low:g}, {high:g}]" if math.isfinite(high) else f"{low:g} and more"


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ == "NAType"


def read_table(name: str | Path) -> Table:
    """A CSV, JSON lines or Parquet file, by its suffix in letters of any case.

    Raises:
        DataError: unreadable, or of an unknown kind.
    """
    path, kind = Path(name), str(name).lower()
    reader: Callable[[Path], Table]
    if kind.endswith((".csv", ".csv.gz")):
        reader = _read_csv
    elif kind.endswith((".jsonl", ".jsonl.gz")):
        reader = _read_json_lines
    elif kind.endswith(".parquet"):
        reader = _read_parquet
    else:
        raise DataError(f"{path}: unknown kind of file; use {KINDS}")
    with _readable(path):
        return reader(path)


def json_objects(path: Path) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """(number, line, object) of each line of a JSON lines file, `.gz` or plain; empty lines and a byte order mark are passed over.

    Raises:
        DataError: unreadable, or a line that is no JSON object.
    """
    with _readable(path), _opened(path) as file:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(_BYTE_ORDER_MARK).strip() if number == 1 else line.strip()
            if not text:
                continue
            try:
                found = json.loads(text.decode())
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}: line {number}: no JSON: {error}") from error
            if not isinstance(found, dict):
                raise DataError(f"{path}: line {number}: not a JSON object")
            yield number, text, found


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: can't be read: it is not UTF-8 ({error.reason})") from error
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from error
    except (ValueError, EOFError, csv.Error) as error:
        raise DataError(f"{path}: can't be read: {error}") from error


def _opened(path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


def _read_csv(path: Path) -> Table:
    csv.field_size_limit(2**31 - 1)  # a prompt may be long
    rows: list[list[str]] = []
    lines: list[int] = []
    with _opened(path) as file:
        reader = csv.reader((line.decode() for line in _without_mark(file)), strict=True)
        header = next(reader, [])
        if len(set(header)) < len(header):
            raise DataError(f"{path}:1: two columns have the same name")
        line = reader.line_num + 1
        for row in _rows(reader, path):
            if len(row) > len(header):
                raise DataError(f"{path}:{line}: {len(row)} cells, but {len(header)} columns; quote texts with commas")
            if row:
                rows.append(row + [""] * (len(header) - len(row)))
                lines.append(line)
            line = reader.line_num + 1
    cells: Sequence[Sequence[str]] = list(zip(*rows, strict=True)) if rows else [[]] * len(header)
    return Table(str(path), {name: list(values) for name, values in zip(header, cells, strict=True)}, lines)


def _rows(reader: Any, path: Path) -> Iterator[list[str]]:
    start = reader.line_num + 1
    try:
        for row in reader:
            yield row
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}:{start}: this row can't be read: {error}; quote texts with commas, quotes or line breaks"
        ) from error


def _without_mark(file: IO[bytes]) -> Iterator[bytes]:
    for number, line in enumerate(file):
        yield line.removeprefix(_BYTE_ORDER_MARK) if number == 0 else line


def _read_json_lines(path: Path) -> Table:
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, _, row in json_objects(path):
        rows.append(row)
        lines.append(number)
    names = dict.fromkeys(name for row in rows for name in row)
    return Table(str(path), {name: [row.get(name) for row in rows] for name in names}, lines)


def _read_parquet(path: Path) -> Table:
    import pandas as pd

    return from_frame(str(path), pd.read_parquet(path))


def from_frame(name: str, frame: Any) -> Table:
    """A pandas table, which has no lines."""
    return Table(name, {str(column): frame[column].tolist() for column in frame.columns}, [])


def read_yaml(text: str) -> tuple[yaml.Node | None, Any]:
    """(the tree, which has lines; what it says).

    Raises:
        yaml.YAMLError: it isn't YAML, or nested more than `MOST_LEVELS` deep, which would end in a RecursionError somewhere.
    """
    level = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        level += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if level > MOST_LEVELS:
            mark: Any = event.start_mark  # the stubs know of libyaml's, too
            raise yaml.MarkedYAMLError(problem=f"nested more than {MOST_LEVELS} levels deep", problem_mark=mark)
    return yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)


def repeated(root: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """Keys that a mapping has twice, which YAML forbids (1.2, section 3.2.1.3) and PyYAML takes: the last one would win in silence."""
    waiting, visited = [root], set[int]()  # an alias stands for a node that was there before, maybe for one around it
    while waiting:
        node = waiting.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            waiting.extend(value for _, value in node.value)
            names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            for index, (key, _) in enumerate(node.value):
                if key.value in names[:index]:
                    yield key.start_mark.line + 1, key.value
