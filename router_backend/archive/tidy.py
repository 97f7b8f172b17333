"""Days that are over: a table's small files become one, and the table that reports read is made.

A file that others were merged into names them, and they are removed a while later, so that a reader that has listed them can still open
them. Until then rows are there twice, which readers tell by their ids. Every step may be done again, or by two at once: what is removed
is in a file that is durable.
"""

from __future__ import annotations

import json
import secrets
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
from router_backend.core.ids import decided_at

QUIET_SECONDS = 3600.0
"""A table that got no file for as long is merged,"""
MANY = 300
"""and one of as many files."""
GRACE_SECONDS = 600.0
"""What was merged stays for as long."""
_MERGED = "-merged.parquet"
_OF, _AT = (
    b"llm_router_merged",
    b"llm_router_merged_at",
)  # in a file's metadata: names of the files that are in it, and when
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
            if all(len(place.files(table, day, day)) <= 1 for table in SOURCES):
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
    order = "sequence" if table == "events" else "decision_id"
    merged = {_OF: json.dumps([path.rpartition("/")[2] for path in files]), _AT: str(time.time())}
    with tempfile.TemporaryDirectory(prefix="llm-router-") as folder:
        local = Path(folder) / "merged.parquet"
        with pq.ParquetWriter(local, columns.with_metadata({**columns.metadata, **merged}), compression="zstd") as out:
            for low, high in opened.ranges(day, _TOGETHER):
                batches = opened.batches(f"{rows} ORDER BY {order}", _TOGETHER, low=low, high=high)
                for batch in batches:
                    out.write_table(_as(columns, batch).replace_schema_metadata(out.schema.metadata), _TOGETHER)
        with pa.memory_map(str(local)) as file:
            # By the time of its newest rows: what was written last has the last name.
            name = f"{max(map(_identity, files))}-{secrets.token_hex(4)}{_MERGED}"
            place.write(f"{place.folder(table, day)}/{name}", file.read_buffer())
    return len(files)


def _remove_merged(place: Place, table: str, day: str) -> None:
    """What has been in another file for long enough."""
    files = place.files(table, day, day)
    there = {path.rpartition("/")[2]: path for path in files}
    for path in files:
        if not path.endswith(_MERGED):
            continue
        about = _schema(place, path).metadata or {}
        if time.time() - float(about.get(_AT, b"inf")) > GRACE_SECONDS:
            for name in json.loads(about.get(_OF, b"[]")):
                if name in there and there[name] != path:
                    place.remove(there[name])


def _quiet(files: list[str], seconds: float) -> bool:
    """Whether the newest is older, by its name; one that somebody else has named is old."""
    newest = max((decided_at(_identity(path)) or 0.0 for path in files), default=0.0)
    return time.time() - newest > seconds


def _identity(path: str) -> str:
    return path.rpartition("/")[2][:36]


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
