"""Days that are over: a table's small files become one, and the table that reports read is made.

A file that others were merged into names them, and they are removed a while later, so that a reader that has listed them can still open
them. Until then rows are there twice, which readers tell by their ids. Every step may be done again, or by two at once: what is removed
is in a file that is durable.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from router_backend.archive.answers import SOURCES, build_answers
from router_backend.archive.place import ArchiveError, Place
from router_backend.archive.reading import Tables, tables
from router_backend.archive.schema import TABLES, UNIQUE, schema
from router_backend.core.ids import decided_at, new_decision_id

QUIET_SECONDS = 3600.0
"""A table that got no file for as long is merged,"""
MANY = 300
"""and one of as many files."""
GRACE_SECONDS = 600.0
"""What was merged stays for as long."""
_MERGED = "-merged.parquet"
_OF = b"llm_router_merged"  # in a file's metadata: names of the files that are in it
_TOGETHER = 100_000  # rows, each with its context


def tidy(place: Place, go_on: Callable[[], bool]) -> int:
    """Tidy all days that are over, as long as `go_on` says so. Returns how many files were merged into others.

    Raises:
        ArchiveError: the rest stays as it is.
    """
    today, merged = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%d"), 0
    with tables(place) as opened:
        for day in place.days():
            if day >= today:
                continue
            for table in TABLES:
                if not go_on():
                    return merged
                _remove_merged(place, table, day)
                merged += _merge(place, opened, table, day)
            if all(_quiet(place.files(table, day, day), GRACE_SECONDS) for table in SOURCES):
                build_answers(place, opened, day)
    return merged


def _merge(place: Place, opened: Tables, table: str, day: str) -> int:
    files = place.files(table, day, day)
    if len(files) < 2 or (len(files) < MANY and not _quiet(files, QUIET_SECONDS)):
        return 0
    columns = schema(table)
    if any(set(_schema(place, path).names) - set(columns.names) for path in files):
        return 0  # of a newer release, which has columns that would be lost
    opened.show(day, day)
    opened.view(table, files, columns)
    keys = ", ".join(UNIQUE[table])
    rows = f"SELECT DISTINCT ON ({keys}) * FROM {table} WHERE decision_id >= $low AND decision_id < $high"
    names = json.dumps([path.rpartition("/")[2] for path in files])
    with tempfile.TemporaryDirectory(prefix="llm-router-") as folder:
        local = Path(folder) / "merged.parquet"
        with pq.ParquetWriter(
            local, columns.with_metadata({**columns.metadata, _OF: names}), compression="zstd"
        ) as out:
            for low, high in opened.ranges(day, _TOGETHER):
                batches = opened.batches(f"{rows} ORDER BY decision_id", _TOGETHER, low=low, high=high)
                for batch in batches:
                    out.write_table(_as(columns, batch).replace_schema_metadata(out.schema.metadata), _TOGETHER)
        with pa.memory_map(str(local)) as file:
            place.write(f"{place.folder(table, day)}/{new_decision_id()}{_MERGED}", file.read_buffer())
    return len(files)


def _remove_merged(place: Place, table: str, day: str) -> None:
    """What has been in another file for long enough."""
    files = place.files(table, day, day)
    there = {path.rpartition("/")[2]: path for path in files}
    for path in files:
        if path.endswith(_MERGED) and _quiet([path], GRACE_SECONDS):
            for name in json.loads((_schema(place, path).metadata or {}).get(_OF, b"[]")):
                if name in there:
                    place.remove(there[name])


def _quiet(files: list[str], seconds: float) -> bool:
    """Whether the newest is older, by its name; one that somebody else has named is old."""
    newest = max((decided_at(path.rpartition("/")[2][:36]) or 0.0 for path in files), default=0.0)
    return time.time() - newest > seconds


def _schema(place: Place, path: str) -> pa.Schema:
    try:
        with place.system.open_input_file(path) as file:
            return pq.read_schema(file)
    except (OSError, pa.ArrowException) as error:
        raise ArchiveError(f"{place.shown}: {path} can't be read ({error})") from error


def _as(columns: pa.Schema, batch: pa.RecordBatch) -> pa.Table:
    """Rows of files of earlier releases lack columns."""
    found = {
        field.name: batch.column(field.name).cast(field.type)
        if field.name in batch.schema.names
        else pa.nulls(batch.num_rows, field.type)
        for field in columns
    }
    return pa.table(found, columns)
