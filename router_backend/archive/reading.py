"""The archive's tables in DuckDB: read as they are streamed, joined and summed in bounded memory.

A row may have been written twice, so readers group by its id. They go day by day: a decision's rows lie in one day in every table.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow.dataset as ds

from router_backend.archive.place import ArchiveError, Place
from router_backend.archive.schema import TABLES, schema

MEMORY = "1GB"
"""Of joins and sums, before they go to disk."""
Parameters = dict[str, Any]


def day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


class Tables:
    """One DuckDB connection with the archive's tables as views."""

    def __init__(self, place: Place, connection: duckdb.DuckDBPyConnection) -> None:
        self._place, self._connection = place, connection

    def days(self, first: str = "", last: str = "9") -> list[str]:
        return [day for day in self._place.days() if first <= day <= last]

    def show(self, first: str = "", last: str = "9") -> None:
        """Make the views `decisions`, `outcomes`, `feedback` and `events` of the days from `first` to `last`."""
        for table in TABLES:
            self._connection.execute(f"DROP VIEW IF EXISTS {table}")
            files = self._place.files(table, first, last)
            if self._place.local and files:
                source = self._connection.read_parquet(files, hive_partitioning=False, union_by_name=True)
                source.create_view(table)
            else:
                found = ds.dataset(files, schema(table), "parquet", filesystem=self._place.system)
                self._connection.register(table, found)

    def query(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """Rows by column.

        Raises:
            ArchiveError: a file is damaged, or the memory is too small.
        """
        try:
            answer = self._connection.execute(sql, parameters or None)
            names = [column[0] for column in answer.description or ()]
            return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
        except duckdb.Error as error:
            raise ArchiveError(f"{self._place.shown}: can't be read ({error})") from error

    def batches(self, sql: str, rows: int, **parameters: Any) -> Iterator[Any]:
        """Arrow record batches, as they are computed."""
        try:
            reader: Any = self._connection.execute(sql, parameters or None).to_arrow_reader(rows)
            yield from reader
        except duckdb.Error as error:
            raise ArchiveError(f"{self._place.shown}: can't be read ({error})") from error


@contextmanager
def tables(place: Place, memory: str = MEMORY) -> Iterator[Tables]:
    """The archive's tables; what doesn't fit in `memory` lies in a temporary folder meanwhile."""
    with tempfile.TemporaryDirectory(prefix="llm-router-") as folder:
        settings: dict[str, Any] = {
            "memory_limit": memory,
            "temp_directory": folder,
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        with duckdb.connect(config=settings) as connection:
            yield Tables(place, connection)
