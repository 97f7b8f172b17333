"""The benchmark of reports, on a small archive."""

from __future__ import annotations

from pathlib import Path

from router_backend.archive.place import open_place
from router_backend.archive.reading import tables
from router_backend.core.ids import decided_at
from router_backend.lab.bench import long_report


def test_a_report_counts_all_that_was_written(tmp_path: Path) -> None:
    found = long_report.measure(3000, tmp_path, days=2)
    assert found.decisions == 3000
    assert found.memory > 0
    assert "| decisions in the archive, with outcomes, 5% of them scored | 3,000 |" in long_report.markdown(found)
    with tables(open_place("archive", tmp_path)) as opened:
        opened.show()
        rows = opened.query("SELECT decision_id, epoch(created) AS created FROM decisions")
        days = opened.days()
    assert len({row["decision_id"] for row in rows}) == 3000
    assert all(abs((decided_at(row["decision_id"]) or 0.0) - row["created"]) < 0.002 for row in rows)
    assert len(days) == 2
