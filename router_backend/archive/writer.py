"""Records to Parquet files, one for each table and day of a group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from router_backend.archive.place import Place
from router_backend.archive.schema import Archived, day_of, rows, table_of
from router_backend.core.ids import new_decision_id

# Nearly every value is another one: a dictionary would only be built to be thrown away.
PLAIN = frozenset(("decision_id", "created", "completed", "received", "at", "context", "sequence"))


def write(place: Place, records: Sequence[Archived], log: str) -> int:
    """Write a group; every file is whole and durable when this returns. Returns the number of files.

    The group may have been written before: a file's name is new each time, so that nobody who comes late overwrites another's,
    and readers tell rows by their ids.
    """
    groups: dict[tuple[str, str], list[Archived]] = defaultdict(list)
    for record in records:
        groups[table_of(record), day_of(record)].append(record)
    for (table, day), group in sorted(groups.items()):
        name = f"{new_decision_id()}.parquet"  # by time
        place.write(f"{place.folder(table, day)}/{name}", _parquet(rows(table, group, log)))
    return len(groups)


def _parquet(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    dictionaries = [name for name in table.column_names if name not in PLAIN]
    pq.write_table(table, sink, compression="zstd", use_dictionary=dictionaries, row_group_size=100_000)
    return sink.getvalue()
