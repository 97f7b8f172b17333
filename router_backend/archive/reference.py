"""The documented form of the schema: docs/archive.md's tables, out of the schema itself."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from router_backend.archive.schema import LOG, TABLES, VERSION

_ABOUT = {
    "decisions": "One row per decision.",
    "outcomes": "One row per answer.",
    "feedback": "One row per score that counts, once it is final. Tags are left out, because they may hold text.",
    "events": "One row per observation that was learned from. `log` and `sequence` identify a row.",
}


def tables() -> str:
    """Markdown: version, then a table for each table."""
    return "\n".join([f"Version {VERSION}.", "", *_tables()])


def _tables() -> Iterator[str]:
    for table, columns in TABLES.items():
        yield from (f"### {table}", "", _ABOUT[table], "", "| column | type | |", "|---|---|---|")
        if table == "events":
            yield f"| `{LOG}` | string | name of the log; `state reset` begins another one |"
        for name, kind, about, _ in columns:
            yield f"| `{name}` | {_type(kind)} | {about} |"
        yield ""


def _type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "timestamp (µs, UTC)"
    if pa.types.is_list(kind):
        return f"list of {_type(kind.value_type)}"
    if pa.types.is_struct(kind):
        return f"({', '.join(field.name for field in kind)})"
    return str(kind)
