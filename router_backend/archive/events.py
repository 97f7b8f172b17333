"""The observations of one log out of the archive, in the order of the log, each once.

Rows lie by the day of their decisions, and feedback comes when it comes: parts of files (row groups) overlap in the log. They are read in
the order of their first events, and what lies in front of the first event of the next part is complete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from router_backend.archive.place import ArchiveError, Place
from router_backend.archive.schema import LOG, usage_of
from router_backend.core.observations import Labels, Numbers, Observations, side_by_side
from router_backend.core.records import LearningEvent

_TABLE = "events"
_TOGETHER = 20_000  # rows that are put in order at once, or as many as overlap
_FOOTERS = 16  # that are read at once: a bucket answers each in some 20 ms
_LISTINGS = 3  # after files that somebody merged into others meanwhile
_FARTHEST = 2**62
_LEARNED = (
    *(LOG, "sequence", "arm", "at", "embedding_space", "context", "task", "quality", "cost"),
    *("output_tokens", "completion_tokens", "reasoning_tokens", "source", "revision", "judged"),
)
_PLAIN = (
    *("sequence", "decision_id", "arm", "embedding_space", "task"),
    *("quality", "cost", "output_tokens", "source", "revision"),
)


@dataclass(frozen=True, slots=True, order=True)
class _Part:
    """A row group."""

    first: int
    last: int
    path: str
    number: int
    pure: bool  # of one log, and its bounds are known


def archived_events(place: Place, log: str, last: int) -> Iterator[list[LearningEvent]]:
    """Up to the event `last`; ArchiveError if the archive can't be read."""
    for table in archived_rows(place, log, last):
        yield [_event(row) for row in table.to_pylist()]


def archived_observations(place: Place, log: str, last: int = _FARTHEST) -> Iterator[Observations]:
    """As `archived_events`, by column."""
    for table in archived_rows(place, log, last, _LEARNED):
        yield _observations(table)


def latest_log(place: Place) -> str:
    """The name of the log of which rows were written last; ArchiveError if there are none."""
    files = sorted(place.files(_TABLE), key=lambda path: path.rpartition("/")[2])  # names go by time
    if not files:
        raise ArchiveError(f"{place.shown}: no observations are archived")
    return str(_opened(place, files[-1]).read(columns=[LOG])[LOG][-1])


def archived_rows(place: Place, log: str, last: int, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """As `archived_events`, as rows of the table, or of some of its columns."""
    after, listings = 0, 0
    while True:
        try:
            for table in _rows(place, log, after, last, columns):
                after = table["sequence"][-1].as_py()
                yield table
            return
        except FileNotFoundError as error:
            listings += 1
            if listings == _LISTINGS:
                raise ArchiveError(f"{place.shown}: files go while they are read ({error}); try again") from error
        except (OSError, pa.ArrowException) as error:
            raise ArchiveError(f"{place.shown}: the observations can't be read ({error})") from error


def _rows(place: Place, log: str, after: int, last: int, columns: Sequence[str] | None) -> Iterator[pa.Table]:
    parts = sorted(part for part in _parts(place, log) if part.last > after and part.first <= last)
    files: dict[str, pq.ParquetFile] = {}
    waiting: list[pa.Table] = []
    for place_in_order, part in enumerate(parts):
        if part.path not in files:
            files[part.path] = _opened(place, part.path)
        rows = files[part.path].read_row_group(part.number, columns)
        chosen = (pc.field(LOG) == log) & (pc.field("sequence") > after) & (pc.field("sequence") <= last)
        waiting.append(rows if part.pure and after < part.first and part.last <= last else rows.filter(chosen))
        following = parts[place_in_order + 1 :]
        if sum(map(len, waiting)) < _TOGETHER and following:
            continue
        bound = following[0].first if following else _FARTHEST
        complete, rest = _in_order(waiting, bound)
        waiting = [rest]
        if len(complete):
            after = complete["sequence"][-1].as_py()
            yield complete
        if not any(other.path == part.path for other in following[:64]):
            files.pop(part.path).close()


def _in_order(tables: list[pa.Table], bound: int) -> tuple[pa.Table, pa.Table]:
    """(the rows in front of an event, in order and each once; the others)."""
    rows = pa.concat_tables(tables, promote_options="default")
    sequences = rows["sequence"].to_numpy()
    _, first = np.unique(sequences, return_index=True)  # in order
    cut = int(np.searchsorted(sequences[first], bound))
    if cut == len(rows) and (np.diff(sequences) > 0).all():
        return rows, rows.slice(0, 0)
    return rows.take(first[:cut]), rows.take(first[cut:])


def _parts(place: Place, log: str) -> list[_Part]:
    with ThreadPoolExecutor(_FOOTERS) as pool:
        found = list(pool.map(lambda path: _of_file(place, path, log), place.files(_TABLE)))
    return [part for parts in found for part in parts]


def _of_file(place: Place, path: str, log: str) -> list[_Part]:
    with _opened(place, path) as file:
        parts = []
        for number in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(number)
            leaves = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
            logs, sequences = leaves[LOG].statistics, leaves["sequence"].statistics
            if logs is not None and logs.has_min_max and not logs.min <= log <= logs.max:
                continue
            known = sequences is not None and sequences.has_min_max
            first, last = (sequences.min, sequences.max) if known else (0, _FARTHEST)
            pure = known and logs is not None and logs.has_min_max and logs.min == logs.max
            parts.append(_Part(first, last, path, number, pure))
        return parts


def _opened(place: Place, path: str) -> pq.ParquetFile:
    return pq.ParquetFile(place.system.open_input_file(path), pre_buffer=not place.local)


def _observations(rows: pa.Table) -> Observations:
    contexts = rows["context"].combine_chunks()
    judged = rows["judged"].combine_chunks()
    scored = np.flatnonzero(pc.fill_null(pc.list_value_length(judged), 0).to_numpy(zero_copy_only=False))
    lengths = pc.fill_null(pc.list_value_length(contexts), 0).to_numpy(zero_copy_only=False).astype(np.intp)
    return Observations(
        sequences=rows["sequence"].to_numpy(),
        arms=_labels(rows["arm"]),
        at=rows["at"].cast(pa.int64()).to_numpy() / 1e6,
        spaces=rows["embedding_space"].to_numpy(),
        contexts=side_by_side(contexts.flatten().to_numpy(zero_copy_only=False), lengths),
        lengths=lengths,
        tasks=_labels(rows["task"]),
        qualities=rows["quality"].to_numpy(),
        costs=rows["cost"].to_numpy(),
        output_tokens=_numbers(rows["output_tokens"]),
        completion_tokens=_numbers(rows["completion_tokens"]),
        reasoning_tokens=_numbers(rows["reasoning_tokens"]),
        sources=_labels(rows["source"]),
        revisions=_labels(rows["revision"]),
        judged=tuple(
            (int(place), each["signal"], each["score"]) for place in scored for each in judged[int(place)].as_py()
        ),
    )


def _labels(column: pa.ChunkedArray) -> Labels:
    encoded = column.fill_null("").combine_chunks().dictionary_encode()
    return Labels(encoded.indices.to_numpy().astype(np.intp), tuple(encoded.dictionary.to_pylist()))


def _numbers(column: pa.ChunkedArray) -> Numbers:
    """NaN for null."""
    return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)


def _event(row: dict[str, Any]) -> LearningEvent:
    fields = {name: row[name] for name in _PLAIN}
    return LearningEvent(
        **fields,
        at=row["at"].timestamp(),
        context=np.array(row["context"], np.float32),
        usage=usage_of(row),
        judged={each["signal"]: each["score"] for each in row["judged"] or ()},
    )
