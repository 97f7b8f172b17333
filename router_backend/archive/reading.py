"""The archive's tables in DuckDB: read as they are streamed, joined and summed in bounded memory.

A row may have been written twice, so readers group by its id. They go day by day, and through a day by ranges of ids: a decision's rows
lie in one day in every table, and what is grouped at once is bounded.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from router_backend.archive.place import ArchiveError, Place
from router_backend.archive.schema import TABLES, schema

MEMORY = "1GB"
"""Of joins and sums, before they go to disk."""
TOGETHER = 250_000
"""Rows of a table that are grouped by their ids at once."""
_DAY_MILLISECONDS = 86_400_000


def day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


class Tables:
    """One DuckDB connection with the archive's tables as views."""

    def __init__(self, place: Place, connection: duckdb.DuckDBPyConnection) -> None:
        self.place, self._connection = place, connection

    def days(self, first: str = "", last: str = "9") -> list[str]:
        return [day for day in self.place.days() if first <= day <= last]

    def show(self, first: str = "", last: str = "9") -> None:
        """Make the views `decisions`, `outcomes`, `feedback` and `events` of the days from `first` to `last`."""
        for table in TABLES:
            self.view(table, self.place.files(table, first, last), schema(table))

    def view(self, name: str, files: Sequence[str], columns: pa.Schema | None = None) -> None:
        """Make a view of files. `columns`: what there is where there are none; None: as in the files."""
        self._connection.execute(f"DROP VIEW IF EXISTS {name}")
        try:
            if self.place.local and files:
                source = self._connection.read_parquet(list(files), hive_partitioning=False, union_by_name=True)
                if columns is not None and not set(columns.names) <= set(source.columns):  # files of an earlier version
                    now = self._connection.from_arrow(columns.empty_table())
                    kinds = dict(zip(now.columns, now.types, strict=True))
                    added = (f'NULL::{kinds[name]} AS "{name}"' for name in kinds if name not in source.columns)
                    source = source.project(", ".join(["*", *added]))
                source.create_view(name)
            else:
                found = ds.dataset(list(files), columns, "parquet", filesystem=self.place.system)
                self._connection.register(name, found)
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            raise ArchiveError(f"{self.place.shown}: can't be read ({error})") from error

    def put_together(self, name: str, sql: str, **parameters: Any) -> None:
        """Make a table of an answer, in place of the one before. ArchiveError as `query`."""
        self.query(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}", **parameters)

    def ranges(self, day: str, rows: int = TOGETHER) -> Iterator[tuple[str, str]]:
        """Ids of a day's decisions in parts [from, to) of about so many rows: all ids are in one of them.

        By the time that an id begins with; `day` must be shown.
        """
        counts = [self.query(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in ("decisions", "outcomes")]
        parts = max(1, -(-max(counts) // rows))
        begins = round(1000 * datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
        times = [begins + _DAY_MILLISECONDS * part // parts for part in range(1, parts)]
        bounds = ["", *(f"{at >> 16:08x}-{at & 0xFFFF:04x}" for at in times), "~"]
        yield from pairwise(bounds)

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
            raise ArchiveError(f"{self.place.shown}: can't be read ({error})") from error

    def batches(self, sql: str, rows: int, **parameters: Any) -> Iterator[Any]:
        """Arrow record batches, as they are computed."""
        try:
            yield from self._connection.sql(sql, params=parameters or None).to_arrow_reader(rows)
        except duckdb.Error as error:
            raise ArchiveError(f"{self.place.shown}: can't be read ({error})") from error


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
