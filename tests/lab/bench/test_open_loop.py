"""The table of waiting times."""

from __future__ import annotations

from router_backend.lab.bench.measure import Latency
from router_backend.lab.bench.open_loop import Waits, markdown


def test_a_row_has_the_median_round_and_the_ratios_range() -> None:
    rounds = [Latency(100, 80.0, 2.0, 3.0, p99, failures=1) for p99 in (9.0, 4.0, 5.0)]
    *_, row = markdown([Waits("auto", 100.0, rounds)])
    assert row == "| auto | 100 | 80 | 2.00 / 3.00 / 5.00 | 2.50 (2.00 to 4.50) | 3 |"
