"""Puts a run's report into a page, between two comments, and its plot beside the page's images."""

from __future__ import annotations

import shutil
from pathlib import Path

BEGIN = "<!-- begin: llm-router bench -->"
END = "<!-- end: llm-router bench -->"


def publish(report: Path, page: Path) -> None:
    """`report`: the folder that a run has written.

    Raises:
        ValueError: the page has no place for a report.
    """
    text = page.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page} has no place for a report: write {BEGIN} and {END} where it is to be")
    plot = page.parent / "images" / f"{page.stem}.svg"
    plot.parent.mkdir(exist_ok=True)
    shutil.copyfile(report / "report.svg", plot)
    tables = (report / "report.md").read_text().replace("](report.svg)", f"](images/{plot.name})")
    page.write_text(f"{before}{begin}\n\n{tables.strip()}\n\n{end}{after}")
