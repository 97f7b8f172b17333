"""A table that is made of others: one row a decision, with what a report reads of its answer and score.

The rows of decisions, outcomes and feedback lie in files of their own, and may be there twice. To put them together costs more than to sum
them up, and is the same work for each report. So the archiver does it once for a day that is over. The file is named by the files that it was
made of: as soon as one comes or goes, it is of no use, and another one is made. Nothing is lost with it.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from router_backend.archive.place import Place
from router_backend.archive.reading import Tables

_ROWS = 100_000  # of a batch, and of a row group
SOURCES = ("decisions", "outcomes", "feedback")
FOLDER = "derived/answers"

JOINED = """
SELECT any_value(created) AS created, any_value(completed) AS completed, any_value(served) AS served, any_value(task) AS task,
    any_value(reason) AS reason, any_value(key) AS key, any_value(status) AS status, any_value(prompt_tokens) AS prompt_tokens,
    any_value(cached_tokens) AS cached_tokens, coalesce(any_value(cache_write_tokens), 0) AS cache_write_tokens, any_value(completion_tokens) AS completion_tokens,
    any_value(reasoning_tokens) AS reasoning_tokens, any_value(cost) AS cost, coalesce(any_value(batch_discount), 0) AS batch_discount, any_value(latency) AS latency,
    any_value(score) AS score, any_value(kind) AS kind, any_value(chosen) AS chosen, any_value(propensity) AS propensity,
    any_value(usage_known) AS usage_known, any_value(quality) AS quality, any_value(selected) AS selected
FROM (
    SELECT decision_id, epoch(created) AS created, task, split_part(reason, ':', 1) AS reason, kind,
        model AS chosen, propensity FROM decisions
    WHERE decision_id >= $low AND decision_id < $high
    UNION ALL BY NAME
    SELECT decision_id, epoch(completed) AS completed, served, status, prompt_tokens, cached_tokens, cache_write_tokens, completion_tokens,
        reasoning_tokens, cost, batch_discount, latency, key, usage_known FROM outcomes WHERE decision_id >= $low AND decision_id < $high
    UNION ALL BY NAME
    SELECT decision_id, score, quality, selected FROM feedback WHERE decision_id >= $low AND decision_id < $high
) GROUP BY decision_id
"""
"""A row a decision or answer, whatever number of files it is in: the tables are grouped by its id at once. Times are Unix seconds."""


def answers_file(place: Place, day: str) -> str:
    """Where a day's rows lie, if they were made of the files that it has now."""
    names = JOINED + "\n".join(name for table in SOURCES for name in place.files(table, day, day))
    return f"{place.folder(FOLDER, day)}/{hashlib.blake2b(names.encode(), digest_size=16).hexdigest()}.parquet"


def made_and_others(tables: Tables, first: str, last: str) -> tuple[list[str], list[str]]:
    """The files of days between, where they are of use, and the other days."""
    place = tables.place
    there = set(place.files(FOLDER, first, last))
    made = {day: answers_file(place, day) for day in tables.days(first, last)}
    return [path for path in made.values() if path in there], [day for day, path in made.items() if path not in there]


def build_answers(place: Place, tables: Tables, day: str) -> None:
    """Make a day's file, if there is none of what it has now; those of what it had go. ArchiveError if it can't be done."""
    path, old = answers_file(place, day), place.files(FOLDER, day, day)
    if path not in old:
        tables.show(day, day)
        with tempfile.TemporaryDirectory(prefix="llm-router-") as folder:
            local = Path(folder) / "answers.parquet"
            writer: pq.ParquetWriter | None = None
            for low, high in tables.ranges(day):
                for batch in tables.batches(JOINED, _ROWS, low=low, high=high):
                    writer = writer or pq.ParquetWriter(local, batch.schema, compression="zstd")
                    writer.write_batch(batch, row_group_size=_ROWS)
            if writer is None:
                return
            writer.close()
            if path == answers_file(place, day):  # nothing came meanwhile
                with pa.memory_map(str(local)) as file:
                    place.write(path, file.read_buffer())
    for other in old:
        if other != path:
            place.remove(other)
