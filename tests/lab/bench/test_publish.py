"""A report goes into a page between its two comments, and nothing else of the page changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from router_backend.lab.bench.publish import BEGIN, END, publish


@pytest.fixture
def report(tmp_path: Path) -> Path:
    (tmp_path / "report.md").write_text("Measured.\n\n![Latency](report.svg)\n")
    (tmp_path / "report.svg").write_text("<svg/>")
    return tmp_path


def test_the_old_report_gives_way(report: Path) -> None:
    page = report / "docs" / "performance.md"
    page.parent.mkdir()
    page.write_text(f"# Performance\n\n{BEGIN}\nold\n{END}\n\nAfter.\n")
    publish(report, page)
    expected = f"# Performance\n\n{BEGIN}\n\nMeasured.\n\n![Latency](images/performance.svg)\n\n{END}\n\nAfter.\n"
    assert page.read_text() == expected
    assert (page.parent / "images" / "performance.svg").read_text() == "<svg/>"
    publish(report, page)
    assert page.read_text() == expected


def test_a_page_without_a_place_is_left_as_it_is(report: Path) -> None:
    page = report / "page.md"
    page.write_text("# Performance\n")
    with pytest.raises(ValueError, match="no place for a report"):
        publish(report, page)
    assert page.read_text() == "# Performance\n"
