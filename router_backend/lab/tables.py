"""Markdown tables of the laboratory's reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[object]], numbers_from: int | None = None) -> Iterator[str]:
    """The lines of a table; columns from `numbers_from` on are aligned to the right."""
    yield row(*header)
    yield "|" + "".join("---|" if numbers_from is None or i < numbers_from else "--:|" for i in range(len(header)))
    yield from (row(*cells) for cells in rows)


def row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"
